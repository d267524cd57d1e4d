"""The wait for a learner to continue, by the words so far."""

from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import UserInputTranscribedEvent, UserStateChangedEvent
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.job.voice.turn_ends import following_words, is_unfinished, likely_end_factor


class DelayedSession(EventEmitter[Any]):
    """A session with delays."""

    def __init__(self) -> None:
        super().__init__()
        self.options = SimpleNamespace(endpointing={"min_delay": 0.9, "max_delay": 2.2})

    def update_options(self, *, endpointing_opts: dict[str, float]) -> None:
        """Take other delays."""
        self.options.endpointing |= endpointing_opts

    @property
    def delays(self) -> tuple[float, ...]:
        """The shorter and the longer delay."""
        return tuple(self.options.endpointing.values())

    def hear(self, text: str, *, is_final: bool = True) -> None:
        """Recognise something."""
        event = UserInputTranscribedEvent(transcript=text, is_final=is_final)
        self.emit("user_input_transcribed", event)

    def speak(self) -> None:
        """Start the learner's speech."""
        event = UserStateChangedEvent(old_state="listening", new_state="speaking")
        self.emit("user_state_changed", event)


def follow(session: Any, expected: str = "") -> Any:
    """Follow the words of a lesson whose tutor expects a text."""
    return following_words(session, "en", lambda words: words == expected)


def test_after_words_that_more_must_follow_more_than_the_longer_delay_counts() -> None:
    """However it sounds: nobody is done at an article."""
    session = DelayedSession()
    with follow(session):
        session.hear("I live in a")
        assert session.delays == pytest.approx((3.3, 3.3))


def test_after_an_expected_answer_the_shorter_delay_counts_however_it_sounds() -> None:
    """A drill need not wait for more."""
    session = DelayedSession()
    with follow(session, "I have two cats."):
        session.hear("I have two cats.")
        assert session.delays == (0.9, 0.9)


@pytest.mark.parametrize(
    "text", ["I have a cat.", "Yes.", "Good?"], ids=["sentence", "reply", "question"]
)
def test_after_other_words_the_sound_decides(text: str) -> None:
    """And it takes a bit longer than after what is expected: there may be more to it."""
    session = DelayedSession()
    with follow(session, "I have two cats."):
        session.hear(text)
        session.hear("I have two cats.", is_final=False)
        assert session.delays == pytest.approx((1.3, 2.2), abs=0.01)


@pytest.mark.parametrize("text", ["Jack.", "He looked."], ids=["word", "two words"])
def test_after_a_few_words_a_sentence_may_only_have_begun(text: str) -> None:
    """Nothing tells, so the wait is longer, unless the tutor expects them."""
    session = DelayedSession()
    with follow(session):
        session.hear(text)
        assert session.delays == pytest.approx((1.8, 2.2), abs=0.01)
        session.speak()
    with follow(session, text):
        session.hear(text)
        assert session.delays == pytest.approx((0.9, 0.9))


def test_words_of_an_unknown_language_are_not_counted() -> None:
    """It may have no spaces between them."""
    assert likely_end_factor("ja", "猫がいます。") == likely_end_factor("en", "I have a cat.")


def test_a_patient_tutor_waits_no_longer_than_the_longer_delay() -> None:
    """However slow its learner."""
    session = DelayedSession()
    session.update_options(endpointing_opts={"min_delay": 1.7})
    with follow(session):
        session.hear("I have a cat.")
        assert session.delays == (2.2, 2.2)


def test_the_next_utterance_is_waited_for_as_usual() -> None:
    """From its beginning, and by its own words."""
    session = DelayedSession()
    with follow(session, "Yes."):
        session.hear("I live in")
        session.speak()
        assert session.delays == (0.9, 2.2)
        session.hear("I live in")
        session.hear("Yes.")
        assert session.delays == (0.9, 0.9)
        session.speak()
        assert session.delays == (0.9, 2.2)


def test_a_tutor_that_changes_the_delays_is_followed() -> None:
    """By its next utterance."""
    session = DelayedSession()
    with follow(session):
        session.update_options(endpointing_opts={"min_delay": 1.2})
        session.hear("I live in")
        session.speak()
        assert session.delays == (1.2, 2.2)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "Vivo en una"),
        ("es", "Tengo un perro y"),
        ("es", "Me llamo..."),
        ("en", "Well, I went to the."),
        ("en", "Yes,"),
        ("fr", "J'habite à"),
        ("it", "Vorrei un"),
        ("en", "When he returned."),
        ("en", "When"),
        ("es", "Si tengo tiempo"),
        ("fr", "S'il fait beau."),
        ("en", "I would like a big."),
        ("en", "I think."),
        ("es", "En mi opinión,"),
        ("es", "Es un buen"),
        ("en", "Yes, I live in a"),
    ],
    ids=[
        *("article", "conjunction", "trailing off", "full stop", "comma", "accent", "italian"),
        *("clause", "its first word", "condition", "elision", "adjective", "opening", "opinion"),
        *("short form", "yes and more"),
    ],
)
def test_words_that_a_sentence_does_not_end_with(language: str, text: str) -> None:
    """Whisper writes a full stop after them, too."""
    assert is_unfinished(language, text)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "Sí."),
        ("en", "I have a cat"),
        ("ja", "はい"),
        ("es", ""),
        ("en", "When he returned, he slept."),
        ("en", "If I had the time I would travel."),
        ("en", "When do you open?"),
        ("en", "Because I like it."),
        ("en", "Yes, it is."),
        ("en", "No, I do not."),
        ("en", "The house is big."),
        ("en", "For three days, I think."),
        ("en", "Where are you from?"),
        ("es", "¿De qué color es?"),
        ("es", "Eso es."),
    ],
    ids=[
        *("yes", "sentence", "unknown language", "nothing", "two clauses", "no comma"),
        *("question", "reason", "yes, it is", "no, I do not", "adjective", "afterthought"),
        *("preposition", "color", "that is it"),
    ],
)
def test_words_that_a_sentence_may_end_with(language: str, text: str) -> None:
    """In languages without known words, the sound decides."""
    assert not is_unfinished(language, text)

"""The choice between the likeliest transcripts."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_speech.audio import decode
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.rescoring import Hypothesis, Rescorer, is_small_change

Say = Callable[[str, str], bytes]


@pytest.fixture
def rescorer(scorer: Scorer) -> Rescorer:
    """Return the packaged network and dictionary."""
    return Rescorer(scorer.network, scorer.lexicon)


def _choose(rescorer: Rescorer, sound: bytes, *texts: str, language: str = "en") -> str:
    likeliest = [Hypothesis(text, (1,), -float(rank)) for rank, text in enumerate(texts)]
    return rescorer.choose(decode(sound), language, likeliest).text


@pytest.mark.parametrize(
    ("said", "repaired"),
    [
        ("I have many friend in London.", "I have many friends in London."),
        ("They was very happy.", "They were very happy."),
        ("He have three sister.", "He have three sisters."),
        ("We goes to the beach.", "We go to the beach."),
    ],
    ids=["plural", "was", "sister", "ending"],
)
def test_the_text_that_was_said_is_chosen_however_likely_the_other_is(
    rescorer: Rescorer, say: Say, said: str, repaired: str
) -> None:
    """A mistake is kept, and a right sentence stays right."""
    assert _choose(rescorer, say(said, "en-US"), repaired, said) == said
    assert _choose(rescorer, say(repaired, "en-US"), repaired, said) == repaired


def test_another_language_or_another_sentence_is_left_to_whisper(
    rescorer: Rescorer, say: Say
) -> None:
    """No pronunciation is known, or the difference is none that learners make."""
    sound = say("He have three sister.", "en-US")

    def chosen(other: str, language: str = "en") -> str:
        return _choose(rescorer, sound, "He have three sisters.", other, language=language)

    assert chosen("He have three sister.", "es") == "He have three sisters."
    assert chosen("He had dreams is a.") == "He have three sisters."
    assert chosen("12 13 14") == "He have three sisters."


def test_a_text_that_whisper_finds_unlikely_is_not_chosen(rescorer: Rescorer, say: Say) -> None:
    """However well it fits the sound."""
    texts = [Hypothesis("They were happy.", (1,), -1.0), Hypothesis("They was happy.", (1,), -9.0)]
    sound = decode(say("They was happy.", "en-US"))
    assert rescorer.choose(sound, "en", texts) == texts[0]


@pytest.mark.parametrize(
    ("text", "other", "is_small"),
    [
        ("two cats", "Two cat.", True),
        ("She is a teacher", "She is teacher", True),
        ("They were here", "They was here", True),
        ("two cats", "two dogs", False),
        ("look at her shape", "look at her she", False),
        ("I like it", "I like it very much", False),
        ("two cats", "Two cats.", False),
    ],
    ids=["ending", "article", "was", "word", "beginning", "addition", "punctuation"],
)
def test_small_changes_are_endings_and_little_words(
    text: str, other: str, *, is_small: bool
) -> None:
    """These are what learners omit and Whisper restores."""
    assert is_small_change(text, other) is is_small


@given(st.text(), st.text())
def test_no_text_is_a_change_of_itself(text: str, other: str) -> None:
    """This holds for any text of Whisper."""
    assert not is_small_change(text, text)
    assert isinstance(is_small_change(text, other), bool)


def test_silence_fits_no_text_better(rescorer: Rescorer) -> None:
    """There is nothing to decide by."""
    texts = [Hypothesis("two cats", (1,), -1.0), Hypothesis("two cat", (1,), -2.0)]
    assert rescorer.choose(np.zeros(16_000, np.float32), "en", texts) == texts[0]
    assert rescorer.choose(np.ones(200, np.float32), "en", texts) == texts[0]

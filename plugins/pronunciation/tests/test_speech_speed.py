"""Requests of the learner: a slower voice, or the sentence again."""

import pytest

from loqua_tutor_pronunciation.exercises import load_language
from loqua_tutor_pronunciation.speech_speed import is_request, speak_slowly


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Slower, please."),
        ("en", "Could you speak more slowly?"),
        ("es", "Más despacio, por favor."),
        ("es", "despacio"),
    ],
    ids=["en", "en, in a sentence", "es", "es, one word"],
)
def test_a_request_is_no_try(language: str, text: str) -> None:
    """With or without accents and politeness."""
    assert is_request(text, load_language(language).lines.slower)


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "Sorry, can you repeat that?"), ("es", "¿Puedes repetir, por favor?")],
    ids=["en", "es"],
)
def test_a_learner_may_ask_for_the_sentence_again(language: str, text: str) -> None:
    """In the language taught."""
    assert is_request(text, load_language(language).lines.repetition)


@pytest.mark.parametrize(
    "text",
    ["", "The ship is full of sheep.", "I think that he walked home slower than all of us today."],
    ids=["nothing", "a try", "a long sentence with the word"],
)
def test_a_sentence_is_a_try(text: str) -> None:
    """Also one that contains the word."""
    assert not is_request(text, load_language("en").lines.slower)


class AdjustableVoice:
    """A voice with an adjustable speed."""

    speed = 1.0

    def update_options(self, *, speed: float) -> None:
        """Set it."""
        self.speed = speed


def test_a_voice_that_can_be_told_speaks_slowly() -> None:
    """Others speak as they do."""
    voice = AdjustableVoice()
    speak_slowly(voice)
    speak_slowly(object())
    speak_slowly(None)
    assert voice.speed < 1

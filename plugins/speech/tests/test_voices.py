"""Text-to-speech."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loqua_speech.errors import UnknownVoiceError
from loqua_speech.voices import SPEAKING_RATE, sentences, synthesize, voice_for


@pytest.mark.parametrize(
    ("code", "voice"),
    [
        ("es", "es-ES"),
        ("es-ES", "es-ES"),
        ("es-MX", "es-ES"),
        ("en", "en-US"),
        ("EN_gb", "en-GB"),
        ("fr", "fr-FR"),
        ("it", "it-IT"),
        ("de", "de-DE"),
    ],
)
def test_a_language_code_finds_its_voice(code: str, voice: str) -> None:
    """A region without a voice of its own gets its language's first."""
    assert voice_for(code) == voice


@pytest.mark.parametrize("code", ["zh", "", "e", "alloy", "\ud800"])
def test_an_unknown_voice_is_refused_with_the_known_ones(code: str) -> None:
    """The message lists what may be written."""
    with pytest.raises(UnknownVoiceError, match="en-GB, es-ES, fr-FR, it-IT"):
        voice_for(code)


@pytest.mark.parametrize("language", ["es", "en", "en-GB", "fr", "it", "de"])
def test_every_voice_speaks(language: str) -> None:
    """A word gives between a quarter and two seconds of sound."""
    pcm = b"".join(synthesize("Radio.", voice=voice_for(language)))

    samples = np.frombuffer(pcm, np.int16)
    assert SPEAKING_RATE / 4 < len(samples) < SPEAKING_RATE * 2
    assert np.abs(samples).max() > 1000


def test_speed_shortens_speech() -> None:
    """A sentence at double speed takes well under its time; pauses shrink less than words."""
    sentence = "El tren llega a la ciudad y mi hermana trabaja en un hospital muy grande."
    plain, fast = (
        len(b"".join(synthesize(sentence, voice="es-ES", speed=speed))) for speed in (1.0, 2.0)
    )

    assert plain / 2 < fast < plain * 0.8


def test_markup_is_text_not_commands() -> None:
    """Pico's own tags lose their brackets, so they change nothing."""
    assert sentences('<speed level="300">Hola</speed>') == ['speed level="300" Hola /speed']


def test_a_long_text_comes_sentence_by_sentence() -> None:
    """The first sentence can be heard before the last is made."""
    assert sentences("Hola. ¿Qué tal? El Sr. García llega a las 10:30. Adiós…") == [
        "Hola.",
        "¿Qué tal?",
        "El Sr. García llega a las 10:30.",
        "Adiós.",
    ]


@pytest.mark.parametrize("text", ["", "   ", "…", "😀", "漢字", "Ж", "Ж. Д!", "\x00\x07", "<>"])
def test_a_text_with_nothing_to_pronounce_is_a_moment_of_silence(text: str) -> None:
    """A tenth of a second, so that a player has something to end."""
    assert b"".join(synthesize(text, voice="es-ES")) == bytes(SPEAKING_RATE // 10 * 2)


@given(st.text(max_size=2000))
def test_only_what_pico_takes_is_left_of_any_text(text: str) -> None:
    """Short pieces of short words, no control characters, no brackets."""
    for sentence in sentences(text):
        assert len(sentence) <= 300
        assert all(len(word) <= 100 for word in sentence.split())
        assert sentence.isprintable()
        assert not set("<>[]{}\\|") & set(sentence)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["es-ES", "en-US", "de-DE"]))
def test_any_text_can_be_spoken(text: str, voice: str) -> None:
    """Pico neither fails nor returns half a sample."""
    assert len(b"".join(synthesize(text, voice=voice))) % 2 == 0

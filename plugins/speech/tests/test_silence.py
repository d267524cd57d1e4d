"""Pauses before, in and after synthesised speech."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_speech.silence import limit_silence
from loqua_speech.voices import SPEAKING_RATE, synthesize

SECOND = 1000
"""Samples; the rate of the tests' own sound."""


def sound(*seconds: float) -> bytes:
    """Return silence and speech in turns, silence first."""
    parts = [
        np.full(round(length * SECOND), 9000 * (number % 2), np.int16)
        for number, length in enumerate(seconds)
    ]
    return np.concatenate(parts).tobytes()


def pauses(pcm: bytes, rate: int) -> list[float]:
    """Return the seconds of silence, speech, silence … that the sound has, silence first."""
    window = rate // 100
    loud = np.abs(np.frombuffer(pcm, np.int16).astype(int))
    spoken = loud[: len(loud) // window * window].reshape(-1, window).max(axis=1) >= 200
    edges = np.flatnonzero(np.diff(np.concatenate([[False], spoken, [not spoken[-1]]]))) / 100
    return [float(length) for length in np.round(np.diff(edges, prepend=0.0), 2)]


def test_long_silences_are_cut_and_short_ones_kept() -> None:
    """Before, within and after; nothing that is said is lost."""
    limited = limit_silence(sound(0.7, 0.5, 0.2, 0.3, 0.9, 0.4, 0.6), SECOND)
    assert pauses(limited, SECOND) == [0.05, 0.5, 0.2, 0.3, 0.4, 0.4, 0.3]


def test_a_sentence_that_ends_at_once_is_given_its_pause() -> None:
    """The next one does not run into it."""
    assert pauses(limit_silence(sound(0, 0.5), SECOND), SECOND) == [0.0, 0.5, 0.3]


def test_silence_alone_stays_what_it_is() -> None:
    """It is nobody's sentence."""
    for silence in (b"", sound(0.5)):
        assert limit_silence(silence, SECOND) == silence


@given(st.lists(st.floats(0.02, 1.5), min_size=2, max_size=9))
def test_all_that_is_said_is_heard(seconds: list[float]) -> None:
    """This holds for silences of any length at any place."""
    limited = limit_silence(sound(*seconds), SECOND)
    loud = lambda pcm: int(np.count_nonzero(np.frombuffer(pcm, np.int16)))  # noqa: E731
    assert loud(limited) == loud(sound(*seconds))


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("es-ES", "¡Muy bien! ¿Qué cosas te gustan?"),
        ("es-ES", "Hola, ¿qué tal? Me llamo Ana."),
        ("en-US", "Hello. How are you? Fine, thanks."),
        ("it-IT", "Ciao! Come stai? Bene."),
        ("fr-FR", "Bonjour. Ça va ? Très bien, merci."),
        ("de-DE", "Guten Tag. Wie geht es dir?"),
    ],
)
def test_between_two_sentences_it_is_silent_as_in_speech(voice: str, text: str) -> None:
    """A quarter to half a second, whatever they begin and end with; and hardly before the first."""
    said = b"".join(synthesize(text, voice=voice))
    silences = pauses(said, SPEAKING_RATE)[::2]
    assert silences[0] <= 0.06
    assert max(silences) <= 0.5
    sentences = text.count(".") + text.count("?") + text.count("!")
    assert sum(silence >= 0.25 for silence in silences) >= sentences

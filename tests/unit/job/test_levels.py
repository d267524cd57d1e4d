"""The loudest participant, from the energy of each one's frames."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.job.voice.levels import KEPT_SECONDS, Levels

FRAME = 0.05
SPEECH = 4e6
"""The energy of somebody who speaks (-24 dBFS)."""


def speak(levels: Levels, identity: str, since: float, until: float, energy: float) -> None:
    """Add the levels of speech: syllables, and the short gaps between them."""
    for number in range(math.ceil((until - since) / FRAME)):
        gap = number % 5 == 0
        levels.add(identity, 200.0 if gap else energy, since + number * FRAME)


def hum(levels: Levels, identity: str, since: float, until: float, energy: float) -> None:
    """Add the levels of a constant noise."""
    for number in range(math.ceil((until - since) / FRAME)):
        levels.add(identity, energy, since + number * FRAME)


def test_whoever_speaks_is_the_loudest_while_they_do() -> None:
    """One after the other."""
    levels = Levels()
    speak(levels, "maria", 10, 12, SPEECH)
    speak(levels, "ana", 13, 14, SPEECH)
    assert levels.loudest(10, 12) == "maria"
    assert levels.loudest(13, 14) == "ana"
    assert levels.loudest(12.1, 12.9) is None


@pytest.mark.parametrize(("maria", "ana", "loudest"), [(1.0, 2.0, "ana"), (2.0, 1.0, "maria")])
def test_of_two_who_speak_at_once_it_is_the_louder(maria: float, ana: float, loudest: str) -> None:
    """The one who began does not matter."""
    levels = Levels()
    speak(levels, "maria", 0, 2, SPEECH * maria)
    speak(levels, "ana", 0, 2, SPEECH * ana)
    assert levels.loudest(0, 2) == loudest


def test_who_says_one_word_in_between_does_not_take_the_turn() -> None:
    """The one who spoke longer does, at the same loudness."""
    levels = Levels()
    speak(levels, "maria", 0, 3, SPEECH)
    speak(levels, "ana", 1, 1.5, SPEECH)
    assert levels.loudest(0, 3) == "maria"


def test_a_noise_that_is_always_there_is_no_speech() -> None:
    """A soft voice is heard beside it, and the voice of who sits in it, too."""
    levels = Levels()
    hum(levels, "maria", 0, 60, SPEECH / 20)
    speak(levels, "ana", 50, 51, SPEECH / 40)
    assert levels.loudest(50, 51) == "ana"
    speak(levels, "maria", 60, 61, SPEECH)
    speak(levels, "ana", 60, 61, SPEECH / 40)
    assert levels.loudest(60, 61) == "maria"


def test_a_silent_room_has_no_loudest() -> None:
    """Codecs may turn silence into faint noise."""
    levels = Levels()
    hum(levels, "maria", 0, 5, 300.0)
    assert levels.loudest(0, 5) is None


def test_old_levels_are_let_go() -> None:
    """A lesson of hours takes no more room than one of minutes."""
    levels = Levels()
    speak(levels, "maria", 0, 1, SPEECH)
    levels.add("ana", SPEECH, KEPT_SECONDS + 2)
    assert levels.loudest(0, 1) is None


ENERGIES = st.floats(0, 2**30, allow_nan=False)


@given(st.lists(st.tuples(st.sampled_from("abc"), ENERGIES), max_size=50))
def test_the_loudest_is_one_of_those_who_sent_sound(frames: list[tuple[str, float]]) -> None:
    """Or nobody, whatever the frames are like."""
    levels = Levels()
    for number, (identity, energy) in enumerate(frames):
        levels.add(identity, energy, number * FRAME)
    assert levels.loudest(0, 60) in {None, *(identity for identity, _ in frames)}

"""The tutor's sound in the learner's microphone is told from the learner's."""

from collections.abc import Iterator

import numpy as np
import pytest
from livekit import rtc
from numpy.typing import NDArray

from loqua_host.job.voice.echo_detection import EchoDetector, PlayedSound

RATE = 24_000
FRAME = RATE // 20
Sound = NDArray[np.float64]


def speech(seconds: float, seed: int) -> Sound:
    """Return noise whose pitch and loudness change eight times a second, as syllables do."""
    random, syllable = np.random.default_rng(seed), RATE // 8
    parts = []
    for _ in range(round(seconds * 8)):
        tones = random.uniform(200, 3800, size=4)
        time = np.arange(syllable) / RATE
        parts.append(random.uniform(0.05, 1) * np.sin(2 * np.pi * np.outer(tones, time)).sum(0))
    return np.concatenate(parts) * 2_000


SAID = speech(6, seed=1)
SILENCE = np.zeros(6 * RATE)
NOTHING = np.zeros(0)


def after(seconds: float, sound: Sound) -> Sound:
    """Return a sound that begins later."""
    return np.append(np.zeros(round(seconds * RATE)), sound)


def noisy(sound: Sound, decibels: float) -> Sound:
    """Return a sound with white noise so far below it."""
    level = np.sqrt(np.square(sound).mean()) * 10 ** (-decibels / 20)
    return sound + np.random.default_rng(7).normal(scale=level, size=len(sound))


def reverberant(sound: Sound) -> Sound:
    """Return a sound as a room of 0.3 s reflects it."""
    length = int(0.3 * RATE)
    tail = np.random.default_rng(8).normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail /= np.linalg.norm(tail)
    tail[0] += 1
    return np.convolve(sound, tail)[: len(sound)]


def jittery(sound: Sound) -> Sound:
    """Return a sound as a network stretches and shortens it, by 40 ms at a time."""
    pieces = np.array_split(sound, 10)
    gap = np.zeros(RATE // 25)
    return np.concatenate(
        [np.append(it, gap) if at % 2 else it[: -len(gap)] for at, it in enumerate(pieces)]
    )


def frames(sound: Sound, *, rate: int = RATE, size: int = FRAME) -> Iterator[rtc.AudioFrame]:
    """Yield a sound frame by frame."""
    samples = np.clip(sound, -32_768, 32_767).astype(np.int16)
    for start in range(0, len(samples) - size + 1, size):
        yield rtc.AudioFrame(samples[start : start + size].tobytes(), rate, 1, size)


class Room:
    """A tutor that plays, and what the microphone hears of it."""

    def __init__(self) -> None:
        self.detector, self.played = EchoDetector(), PlayedSound()
        self.now = 100.0
        self.longest_wait = 0.0

    def hear(self, heard: Sound, said: Sound = SAID) -> list[bool]:
        """Return of each frame that is heard whether it is an echo only, as it is told later."""
        for frame in frames(said):
            self.played.add(frame, self.now)
        found: list[bool] = []
        waiting = 0
        for frame in frames(heard):
            self.now += frame.duration
            is_echo = self.detector.add(frame, self.played, self.now)
            waiting += 1
            self.longest_wait = max(self.longest_wait, (waiting - 1) * frame.duration)
            if is_echo is not None:
                found += [is_echo] * waiting
                waiting = 0
        return found


def share(found: list[bool], start: float, end: float | None = None) -> float:
    """Return the share of frames that are an echo only, between two seconds."""
    part = found[round(start * 20) : None if end is None else round(end * 20)]
    return sum(part) / len(part)


ECHOES = {
    "soft": after(0.3, SAID * 0.1),
    "as loud": after(0.3, SAID),
    "at once": SAID * 0.25,
    "late": after(0.8, SAID * 0.25),
    "reverberant": after(0.2, reverberant(SAID * 0.25)),
    "noisy": noisy(after(0.2, SAID * 0.25), 10),
    "jittery": after(0.3, jittery(SAID * 0.25)),
}


@pytest.mark.parametrize("heard", ECHOES.values(), ids=ECHOES)
def test_an_echo_is_held_back_until_it_is_known(heard: Sound) -> None:
    """Nothing of it is heard, nor of the next one."""
    room = Room()
    found = room.hear(heard[: len(SAID)])
    assert share(found, 0.9) > 0.9
    assert room.longest_wait < 1.0
    assert share(room.hear(SILENCE, said=NOTHING), 3.0) == 0
    assert share(room.hear(heard[: len(SAID)]), 0.4, 5.8) > 0.75


@pytest.mark.parametrize("gap", [0.12, 0.3, 0.5], ids=["short", "longer", "long"])
@pytest.mark.parametrize("at", [2.6, 5.4], ids=["midway", "near the end"])
def test_an_echo_that_a_stalled_network_delays_is_no_word(gap: float, at: float) -> None:
    """From the stall on, all of it comes later."""
    room = Room()
    echo = after(0.3, reverberant(SAID * 0.25))
    room.hear(echo)
    room.hear(SILENCE, said=NOTHING)
    stalled = np.concatenate(
        [echo[: int(at * RATE)], np.zeros(int(gap * RATE)), echo[int(at * RATE) :]]
    )
    assert share(room.hear(stalled), 0.4) == 1
    assert room.longest_wait < 1.0


@pytest.mark.parametrize("loudness", [0.25, 1], ids=["as loud as an echo", "louder"])
def test_whoever_speaks_as_an_echo_ends_is_heard(loudness: float) -> None:
    """Words as soft as an echo are held back for half a second, and then heard as a whole."""
    room = Room()
    echo = after(0.3, SAID * 0.25)[: len(SAID)]
    room.hear(echo)
    room.hear(SILENCE, said=NOTHING)
    words = after(6.2, speech(0.4, seed=9) * loudness)
    heard = np.zeros(9 * RATE)
    heard[: len(echo)] += echo
    heard[: len(words)] += words
    found = room.hear(heard)
    assert share(found, 6.35, 6.6) == 0
    assert room.longest_wait < 1.0


LEARNERS = {
    "no echo": after(1.0, speech(3, seed=2)),
    "noise": noisy(np.ones(5 * RATE), -60),
}


@pytest.mark.parametrize("heard", LEARNERS.values(), ids=LEARNERS)
def test_whoever_speaks_while_the_tutor_does_is_heard(heard: Sound) -> None:
    """Without an echo there is nothing to hide; after half a second that is known."""
    room = Room()
    assert not any(room.hear(heard[: len(SAID)]))
    assert room.longest_wait <= 0.5


def test_a_learner_who_speaks_over_an_echo_is_heard() -> None:
    """They are louder than it: all of their words but the first tenth of a second pass."""
    room = Room()
    echo = after(0.3, SAID * 0.2)[: len(SAID)]
    room.hear(echo)
    room.hear(SILENCE, said=NOTHING)
    over = echo + after(2.0, np.append(speech(2, seed=3), np.zeros(2 * RATE)))
    found = room.hear(over)
    assert share(found, 0.4, 1.9) > 0.95
    assert share(found, 2.15, 3.9) < 0.1
    assert share(found, 4.6, 5.8) > 0.9


def test_a_learner_who_repeats_the_tutors_words_afterwards_is_heard() -> None:
    """Even with the same voice."""
    room = Room()
    room.hear(after(0.3, SAID * 0.2)[: len(SAID)])
    found = room.hear(after(2.0, SAID)[: len(SAID)], said=NOTHING)
    assert share(found, 2.0) == 0


def test_what_was_heard_before_an_echo_was_known_is_an_echo_too() -> None:
    """Its transcript may come later."""
    room = Room()
    assert not room.detector.was_echo(3.0)
    room.hear(after(0.3, SAID * 0.2)[: len(SAID)])
    assert room.detector.was_echo(6.0)
    room.hear(speech(2, seed=4), said=NOTHING)
    assert not room.detector.was_echo(2.0)
    assert room.detector.was_echo(5.0, ago=2.5)
    assert not room.detector.was_echo(0.0)


def test_what_was_heard_too_long_ago_is_no_echo() -> None:
    """The tutor's older sound is no longer compared."""
    room = Room()
    for _ in range(7):
        room.hear(after(0.3, SAID * 0.2)[: len(SAID)])
    assert room.detector.was_echo(30.0, ago=5.0)
    assert not room.detector.was_echo(39.0)
    assert not room.detector.was_echo(5.0, ago=60.0)


def test_what_is_heard_while_nothing_is_played_counts_from_its_first_moment() -> None:
    """Also before it is measured, as many frames at once."""
    room = Room()
    room.hear(after(0.3, SAID * 0.2)[: len(SAID)])
    room.hear(np.zeros(round(6.5 * RATE)), said=NOTHING)
    assert room.detector.was_echo(0.4, ago=6.5)
    room.hear(np.zeros(RATE // 2), said=NOTHING)
    assert not room.detector.was_echo(0.4, ago=6.5)
    assert share(room.hear(after(0.3, SAID * 0.2)[: len(SAID)]), 0.4, 5.8) > 0.8


def test_what_is_dropped_before_it_is_played_is_not_waited_for() -> None:
    """LiveKit clears its queue when the tutor is interrupted, and plays on later."""
    room, echo = Room(), after(0.3, SAID * 0.2)
    assert share(room.hear(echo[: 3 * RATE]), 2.2) == 1
    room.played.clear(room.now)
    assert share(room.hear(echo[: len(SAID)]), 0.4, 5.8) > 0.8


@pytest.mark.parametrize("size", [333, 480, 5_000], ids=["odd", "20 ms", "long"])
def test_frames_of_any_rate_and_length_are_compared(size: int) -> None:
    """A microphone has others than a voice."""
    room = Room()
    slower = np.interp(np.arange(0, len(SAID), 1.5), np.arange(len(SAID)), SAID) * 0.25
    for frame in frames(SAID):
        room.played.add(frame, room.now)
    found = []
    for frame in frames(np.append(np.zeros(4_800), slower), rate=16_000, size=size):
        room.now += frame.duration
        found.append(room.detector.add(frame, room.played, room.now))
    assert np.mean(found[len(found) // 2 :]) > 0.85


@pytest.mark.parametrize("stall", [0.4, 1.2], ids=["short", "long"])
def test_frames_that_come_all_at_once_are_of_the_time_before(stall: float) -> None:
    """An event loop that stalls reads them later."""
    room, together = Room(), round(stall * 20)
    heard = after(0.3, SAID * 0.2)[: len(SAID)]
    room.hear(SILENCE[:RATE], said=NOTHING)
    begun = room.now
    for frame in frames(SAID):
        room.played.add(frame, room.now)
    found = []
    for number, frame in enumerate(frames(heard)):
        room.now = begun + (number // together + 1) * stall
        found.append(room.detector.add(frame, room.played, room.now))
    assert share(found, 2.2, 5.8) > 0.95


def test_frames_after_lost_ones_are_of_their_own_time() -> None:
    """None of them is in time by the count of the frames before, which says so."""
    room, echo = Room(), after(0.3, SAID * 0.2)[: len(SAID)]
    room.hear(echo)
    room.hear(SILENCE[:RATE], said=NOTHING)
    room.now += 1.0
    room.hear(SILENCE[: 2 * RATE], said=NOTHING)
    assert share(room.hear(echo), 0.4, 5.8) > 0.9

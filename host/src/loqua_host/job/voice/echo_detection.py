"""Detection of the tutor's sound in the learner's microphone, by the energies of both.

An echo is the tutor's sound, some tenths of a second later and softer in each band of frequency.
Delay and loss give the level that an echo can have at any time; louder sound is the learner's. In
contrast to an echo canceller, this changes nothing of what a learner says, over an echo or without
one.
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

__all__ = ["ROWS_A_SECOND", "EchoDetector", "EchoPath", "Levels", "PlayedSound", "find_path"]

Levels = NDArray[np.float64]
"""The level of a sound in decibels: a row for each 20 ms, a column for each band of frequency."""

ROWS_A_SECOND: Final = 50

_EDGES: Final = np.geomspace(200, 4000, 17)
"""Hz between which most of speech is; even a telephone has most of them."""

_BANDS: Final = len(_EDGES) - 1

_SILENT: Final = 50.0
"""Level of 16-bit samples below which nothing is heard; speech has 70 to 110."""

_NOTHING: Final = np.full(_BANDS, _SILENT)

_AUDIBLE: Final = _SILENT + 12.0

_DYNAMICS: Final = 30.0
"""What is softer than the loudest by more does not count."""

_LONGEST_DELAY: Final = ROWS_A_SECOND
"""Rows after which an echo is heard: network and buffers both ways, loudspeaker, room."""

_COMPARED: Final = 3 * ROWS_A_SECOND // 2
"""Rows that are compared."""

_FEWEST_LOUD: Final = 2 * ROWS_A_SECOND // 3
"""Loud rows that a comparison needs: a single word resembles others."""

_LEAST_SPREAD: Final = 0.3
"""Ratio of a stretch's spread to the sound's, below which the stretch is too quiet to compare."""

_LIKENESS: Final = 0.7
"""Correlation of an echo with what was said. With the sounds of `tests.bench.echoes`, echoes have
0.73 or more, in rooms 0.85; other sentences by the tutor's own voice 0.67 or less, learners 0.48.
"""

_FIRST_COMPARED: Final = ROWS_A_SECOND // 2
"""Rows of a sound after which it is first compared. A shorter one does not interrupt the tutor, by
LiveKit's default, so that holding it back delays no interruption."""

_POSSIBLE: Final = 0.55
"""Correlation from which a sound may be an echo. In the first half second of the sounds of
`tests.bench.echoes`, echoes have 0.60 or more, learners 0.44 or less."""

_BEFORE: Final = 5
"""Rows before a sound that are compared, too: its onset is characteristic."""

_QUIET: Final = ROWS_A_SECOND // 3
"""Quiet rows after which a sound is over."""

_EVERY: Final = ROWS_A_SECOND // 5
"""Rows after which an echo is looked for again: its delay changes with the network's."""

_JITTER: Final = 4
"""Rows by which the delay changes from one row to the next."""

_FADING: Final = 3.0
"""Decibels by which a room's echo fades from row to row; 0.4 s for 60."""

_MARGIN: Final = 6.0
"""Decibels above the loudest echo from which a sound is another."""

_NOISE: Final = 12.0
"""Decibels by which noise may be louder than it is in a tenth of the audible rows."""

_OTHER_BANDS: Final = 3
"""Bands that are louder than an echo where somebody else speaks."""

_OTHER_ROWS: Final = 3
_RECENT: Final = 5
"""Of so many rows, so many show that somebody else speaks."""

_HELD: Final = 15
"""Rows for which somebody speaks on after that: words have soft ends."""

_PAST: Final = 25
"""Rows before the first one that are needed: the fading of what was before it."""

_ECHO_SHARE: Final = 0.8
"""Share of the audible rows of an utterance that an echo explains."""

_FADED: Final = _LONGEST_DELAY + _PAST
"""Rows of silence after which no echo is heard any more."""

_WAITING: Final = 1.0
"""Seconds of sound that are measured at once while no echo can be heard, which is cheaper."""

_DELAYED_LIKENESS: Final = 0.45
"""Correlation from which a sound may be a delayed echo. It is not enough for one."""

_MOST_OFF: Final = 7.5
"""Decibels by which a delayed echo differs from what its path predicts: the median of all bands.
Echoes of short sentences, made as in `tests.bench.echoes`, differ by 4.3 or less, with noise by
7.1; espeak that repeats them differs by 8.0 or more, even as loud as the echo."""

_LATEST: Final = 2.0
"""Seconds by which a frame may arrive late; behind a longer gap, frames were lost."""

_ALL_LATE: Final = 1.0
"""Seconds in which no frame is in time if frames were lost before them."""

_KEPT: Final = 40 * ROWS_A_SECOND
"""Rows that are kept: a slow recogniser's transcript arrives late."""

_LONGEST: Final = _KEPT - _LONGEST_DELAY - _PAST - 2 * _JITTER
"""Rows back from now that can be judged."""


class Bands:
    """Measure the levels of a sound that comes in frames of any rate and length."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._rate = 0

    def add(self, *frames: rtc.AudioFrame) -> Levels:
        """Return the rows that frames of one rate complete."""
        rate = frames[0].sample_rate
        if rate != self._rate:
            self._rate, self._rest = rate, self._rest[:0]
        heard = np.concatenate([self._rest, *map(_mono, frames)])
        length = self._rate // ROWS_A_SECOND
        whole = len(heard) // length * length
        self._rest = heard[whole:]
        return _levels(heard[:whole].reshape(-1, length), self._rate)


def _mono(frame: rtc.AudioFrame) -> NDArray[np.float32]:
    samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    mixed: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    return mixed


class PlayedSound:
    """The tutor's sound by rows, at the times at which the learner hears them."""

    def __init__(self) -> None:
        self._bands = Bands()
        self._rows: deque[tuple[float, Levels]] = deque()
        self._until = 0.0

    def add(self, frame: rtc.AudioFrame, now: float) -> None:
        """Add a frame that is played after those before it."""
        start = max(now, self._until)
        self._until = start + frame.duration
        for number, row in enumerate(self._bands.add(frame)):
            self._rows.append((start + number / ROWS_A_SECOND, row))

    def clear(self, now: float) -> None:
        """Forget what is not played yet, and never will be."""
        self._until = now
        while self._rows and self._rows[-1][0] > now:
            self._rows.pop()

    @property
    def is_over(self) -> bool:
        """Whether everything was taken."""
        return not self._rows

    def take(self, until: float) -> Levels:
        """Return and forget what was played by a time, as one row: the loudest of each band."""
        row = _NOTHING
        while self._rows and self._rows[0][0] <= until:
            row = np.maximum(row, self._rows.popleft()[1])
        return row


@dataclass(frozen=True, slots=True)
class EchoPath:
    """The delay and the loss with which the tutor's sound returns to the microphone.

    Attributes:
        delay: The rows after which it does.
        gains: The decibels by which each band is louder.
    """

    delay: int
    gains: Levels


class EchoDetector:
    """Distinguish the learner's sound from an echo of the tutor's as it arrives.

    Attributes:
        path: How the tutor's sound comes back; None if no echo was ever heard.
    """

    def __init__(self) -> None:
        self.path: EchoPath | None = None
        self._bands = Bands()
        self._heard, self._said = _History(), _History()
        self._noise = _NOTHING
        self._new = 0
        self._silent = _FADED + 1
        self._waiting: list[rtc.AudioFrame] = []
        self._held = 0
        self._open = _OpenSound()
        self._recorded = _RecordingTime()

    def add(self, frame: rtc.AudioFrame, played: PlayedSound, now: float) -> bool | None:
        """Add what the microphone hears; return whether it is nothing but an echo.

        Return None as long as a sound may be the first echo, or one that the network has delayed.
        The next answer is for all frames since then.

        Args:
            frame: The sound that has just arrived.
            played: What is played.
            now: The time of the same clock.
        """
        is_first = self.path is None
        until = self._recorded.add(frame.duration, now)
        if self._silent > _FADED and played.is_over:
            self._wait(frame)
            return False
        self._catch_up()
        rows = self._bands.add(frame)
        for number, row in enumerate(rows, 1 - len(rows)):
            self._heard.append(row)
            said = played.take(until + number / ROWS_A_SECOND)
            self._said.append(said)
            self._silent = 0 if said.max() > _SILENT else self._silent + 1
            self._new += 1
            if self._new % _EVERY == 0:
                before = self._said.latest(_COMPARED + _LONGEST_DELAY)
                self.path = find_path(self._heard.latest(_COMPARED), before) or self.path
                self._noise = _quietest(self._heard.latest(2 * _COMPARED))
        if self.path is None:
            return None if self._may_be_echo(len(rows)) else False
        if is_first and (waited := self._open.close()):
            return self.was_echo((waited + len(rows)) / ROWS_A_SECOND)
        return self._is_echo_only(self.path, len(rows))

    def was_echo(self, seconds: float, ago: float = 0.0) -> bool:
        """Return whether nothing but an echo was heard for some seconds, until some seconds ago."""
        self._catch_up()
        rows, skipped = (max(0, round(it * ROWS_A_SECOND)) for it in (seconds, ago))
        if self.path is None or rows < 1 or rows + skipped > _LONGEST:
            return False
        return self._is_explained(self.path, rows, skipped)

    def _is_explained(self, path: EchoPath, rows: int, skipped: int = 0) -> bool:
        """Return whether an echo explains so many rows."""
        audible = self._heard.latest(rows, skipped).max(axis=1) > _AUDIBLE
        explained = self._unexplained(path, rows, skipped) < _OTHER_BANDS
        return bool(audible.any() and explained[audible].mean() >= _ECHO_SHARE)

    def _wait(self, frame: rtc.AudioFrame) -> None:
        """Keep a frame for later: nothing was played that could be heard in it."""
        if self._waiting and self._waiting[0].sample_rate != frame.sample_rate:
            self._catch_up()
        self._waiting.append(frame)
        if len(self._waiting) * frame.duration >= _WAITING:
            self._catch_up()

    def _catch_up(self) -> None:
        """Measure the frames that wait."""
        if not self._waiting:
            return
        for row in self._bands.add(*self._waiting):
            self._heard.append(row)
            self._said.append(_NOTHING)
        self._waiting.clear()
        self._noise = _quietest(self._heard.latest(2 * _COMPARED))

    def _may_be_echo(self, new: int) -> bool:
        """Follow a sound from its beginning, and return whether it may be the first echo."""
        if self._said.latest(_FADED).max() <= _SILENT:
            self._open.close()
            return False
        loud = np.count_nonzero(self._heard.latest(new) > self._noise + _NOISE, axis=1)
        self._open.add(loud >= _OTHER_BANDS)
        if not self._open.rows or self._open.is_other:
            return False
        if self._open.rows >= _FIRST_COMPARED:
            rows = self._open.rows + _BEFORE
            likenesses = _likenesses(
                self._heard.latest(rows), self._said.latest(rows + _LONGEST_DELAY)
            )
            is_possible = likenesses.max() >= _POSSIBLE and rows <= _COMPARED + _BEFORE
            self._open.is_other = not is_possible
        return not self._open.is_other

    def _is_echo_only(self, path: EchoPath, new: int) -> bool | None:
        """Follow who speaks; return whether the newest rows are an echo, None if they may be."""
        # If nothing was played, there is no echo: silence and noise come from the learner's room.
        if self._said.latest(_FADED).max() <= _SILENT:
            self._held = 0
            self._open.close()
            return False
        other = self._unexplained(path, _RECENT + new) >= _OTHER_BANDS
        recent = (other[at + 1 : at + 1 + _RECENT].sum() for at in range(new))
        is_other = any(it >= _OTHER_ROWS for it in recent)
        self._held = _HELD if is_other else max(0, self._held - new)
        if not self._held and not self._open.rows:
            return True
        return self._is_delayed_echo(path, other[_RECENT:])

    def _is_delayed_echo(self, path: EchoPath, other: NDArray[np.bool_]) -> bool | None:
        """Follow a sound that the path does not explain, and return whether it is an echo.

        A network that stalls delays the echo from then on.
        """
        self._open.add(other)
        if not self._open.is_other and self._is_louder_than_echoes(path, len(other)):
            self._open.is_other = True
        if self._open.is_other or not self._open.rows:
            return not self._held
        if self._held and self._open.rows < _FIRST_COMPARED:
            return None
        rows = self._open.rows
        delayed = find_delayed(
            path, self._heard.latest(rows), self._said.latest(rows + _LONGEST_DELAY)
        )
        if delayed is None or not self._is_explained(delayed, rows):
            self._open.is_other = True
            return False
        self.path, self._held = delayed, 0
        self._open.close()
        return True

    def _is_louder_than_echoes(self, path: EchoPath, new: int) -> bool:
        """Return whether the newest rows are louder than an echo can be, whatever its delay."""
        heard = self._heard.latest(_RECENT + new)
        echoes = self._said.latest(_LONGEST_DELAY + len(heard)).max(axis=0) + path.gains
        loudest = np.maximum(echoes + _MARGIN, self._noise + _NOISE)
        others = np.count_nonzero(heard > loudest, axis=1) >= _OTHER_BANDS
        return bool(others.sum() >= _OTHER_ROWS)

    def _unexplained(self, path: EchoPath, rows: int, skipped: int = 0) -> NDArray[np.intp]:
        """Return in how many bands each row is louder than echo and noise."""
        heard = self._heard.latest(rows, skipped)
        said = self._said.latest(rows + _PAST + path.delay + 2 * _JITTER, skipped)
        loudest = np.maximum(_loudest_echo(path, said)[-rows:] + _MARGIN, self._noise + _NOISE)
        others: NDArray[np.intp] = np.count_nonzero(heard > loudest, axis=1)
        return others


class _OpenSound:
    """A sound that begins before the path of echoes is known.

    Attributes:
        rows: The rows since it began; 0 in silence.
        is_other: Whether it is known to be no echo.
    """

    def __init__(self) -> None:
        self.rows = self._quiet = 0
        self.is_other = False

    def add(self, loud: NDArray[np.bool_]) -> None:
        """Add rows, of which some are loud."""
        if self.rows:
            self.rows += len(loud)
        elif loud.any():
            self.rows = len(loud) - int(loud.argmax())
        self._quiet = 0 if loud.any() else self._quiet + len(loud)
        if self.is_other and self._quiet >= _QUIET:
            self.close()

    def close(self) -> int:
        """Begin anew, and return the rows that may have been an echo."""
        rows = 0 if self.is_other else self.rows
        self.rows, self.is_other = 0, False
        return rows


def find_path(heard: Levels, said: Levels) -> EchoPath | None:
    """Return the path of the echo; None if there is none, or if too little was heard.

    Args:
        heard: What the microphone heard.
        said: What was said until then; more rows of it, by the longest delay to look for.
    """
    if np.count_nonzero(heard.max(axis=1) > _AUDIBLE) < _FEWEST_LOUD or said.max() <= _SILENT:
        return None
    likenesses = _likenesses(heard, said)
    at = int(likenesses.argmax())
    if likenesses[at] < _LIKENESS:
        return None
    return EchoPath(len(said) - len(heard) - at, _gains(heard, said[at : at + len(heard)]))


def find_delayed(path: EchoPath, heard: Levels, said: Levels) -> EchoPath | None:
    """Return the path with the delay at which a sound is an echo; None if it is none.

    Args:
        path: The path until now; only its delay has changed.
        heard: What the microphone hears, from the beginning of the sound.
        said: As for `find_path`.
    """
    like = np.flatnonzero(_likenesses(heard, said) >= _DELAYED_LIKENESS)
    off = {int(at): _difference(heard, said[at : at + len(heard)] + path.gains) for at in like}
    at = min(off, key=off.__getitem__, default=None)
    if at is None or off[at] > _MOST_OFF:
        return None
    return EchoPath(len(said) - len(heard) - at, path.gains)


def _difference(heard: Levels, echo: Levels) -> float:
    """Return the median of what a sound differs by from an echo where that is audible."""
    audible = echo > _AUDIBLE
    return float(np.median(np.abs(heard - echo)[audible])) if audible.any() else math.inf


def _quietest(heard: Levels) -> Levels:
    """Return the level of each band that is seldom undercut while anything is heard: of noise.

    Where a page suppresses noise, it comes and goes with the speech.
    """
    audible = heard[heard.max(axis=1) > _AUDIBLE]
    if not len(audible):
        return _NOTHING
    lowest = len(audible) // 10
    quietest: Levels = np.partition(audible, lowest, axis=0)[lowest]
    return quietest


def _likenesses(heard: Levels, said: Levels) -> Levels:
    """Return the correlation of a sound with each stretch of another."""
    found = np.maximum(heard, heard.max() - _DYNAMICS)
    found = found - found.mean(axis=0)
    levels = np.maximum(said, said.max() - _DYNAMICS)
    together = sum(
        np.correlate(theirs, ours, "valid") for theirs, ours in zip(levels.T, found.T, strict=True)
    )
    own = np.square(found).sum()
    spread = np.sqrt(_spreads(levels, len(heard)) * own)
    # In silence both are close to zero, and their ratio is arbitrary.
    likenesses: Levels = together / np.maximum(spread, own * _LEAST_SPREAD)
    return likenesses


def _spreads(levels: Levels, length: int) -> Levels:
    """Return the sum of squares about the mean of each band, of each stretch of a length."""
    sums, squares = (
        np.pad(it.cumsum(axis=0), ((1, 0), (0, 0))) for it in (levels, np.square(levels))
    )
    total, square = (it[length:] - it[:-length] for it in (sums, squares))
    spreads: Levels = np.maximum((square - np.square(total) / length).sum(axis=1), 0)
    return spreads


def _gains(heard: Levels, said: Levels) -> Levels:
    """Return the median of what each band loses where something is said in it."""
    is_loud, lost = said > said.max() - _DYNAMICS, heard - said
    usual = np.median(lost[is_loud])
    bands = zip(lost.T, is_loud.T, strict=True)
    return np.array([np.median(it[loud]) if loud.any() else usual for it, loud in bands])


def _loudest_echo(path: EchoPath, said: Levels) -> Levels:
    """Return how loud an echo can be, at any delay that is near, and as a room makes it fade.

    The first rows of `said`, by the delay and twice the jitter, have none.
    """
    near = np.lib.stride_tricks.sliding_window_view(said, 2 * _JITTER + 1, axis=0).max(axis=-1)
    # If the delay becomes shorter, later rows are needed.
    ahead = max(0, path.delay - _JITTER)
    rows = len(said) - path.delay - 2 * _JITTER
    first = len(near) - ahead - rows
    near = near[max(0, first) : first + rows]
    echo = np.where(near > _SILENT, near + path.gains, _SILENT)
    fading = _FADING * np.arange(len(echo))[:, None]
    loudest: Levels = np.maximum.accumulate(echo + fading) - fading
    return loudest


class _RecordingTime:
    """The time at which frames were recorded: they arrive late, not early, and some are lost."""

    def __init__(self) -> None:
        self._until = self._watched = 0.0
        self._least_late = math.inf

    def add(self, duration: float, now: float) -> float:
        """Return until when a frame was recorded that arrives now."""
        self._until += duration
        if not now - _LATEST < self._until <= now:
            self._until = now
        self._watched += duration
        self._least_late = min(self._least_late, now - self._until)
        if self._watched >= _ALL_LATE:
            self._until += self._least_late
            self._watched, self._least_late = 0.0, math.inf
        return self._until


class _History:
    """The latest rows, after silence."""

    def __init__(self) -> None:
        self._rows = np.full((_KEPT * 5 // 4, _BANDS), _SILENT)  # moved every ten seconds
        self._end = _KEPT

    def append(self, row: Levels) -> None:
        if self._end == len(self._rows):
            self._rows[:_KEPT] = self._rows[-_KEPT:]
            self._end = _KEPT
        self._rows[self._end] = row
        self._end += 1

    def latest(self, rows: int, skipped: int = 0) -> Levels:
        """Return so many rows before the latest ones, which are kept."""
        end = self._end - skipped
        return self._rows[end - rows : end]


def _levels(pieces: NDArray[np.float32], rate: int) -> Levels:
    window, bands = _window_and_bands(pieces.shape[1], rate)
    power = np.abs(np.fft.rfft(pieces * window)) ** 2
    levels: Levels = np.maximum(10 * np.log10(power @ bands + 1), _SILENT)
    return levels


@lru_cache(maxsize=8)  # each frame needs them, and a session has two rates
def _window_and_bands(length: int, rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the window of a piece, and which frequency belongs to which band."""
    frequencies = np.fft.rfftfreq(length, 1 / rate)[:, None]
    bands = (frequencies >= _EDGES[:-1]) & (frequencies < _EDGES[1:])
    return np.hanning(length), bands.astype(np.float64)

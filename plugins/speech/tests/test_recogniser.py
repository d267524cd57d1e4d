"""The queue that all lessons share."""

import asyncio
import threading

import numpy as np
import pytest

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import BusyError
from loqua_speech.recogniser import Recogniser, pieces
from loqua_speech.recognition import PIECE_SECONDS, Passage


class SlowWhisper:
    """A recogniser that returns each piece's length, one at a time, when a test lets it."""

    name = "slow"

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.started = threading.Event()
        self.go_on = threading.Event()

    def language(self, code: str) -> str:
        """Return an arbitrary language."""
        return code

    def transcribe(self, audio: Samples, language: str | None, prompt: str = "") -> Passage:
        """Return the length of the audio in samples."""
        del prompt
        self.started.set()
        assert self.go_on.wait(10)
        self.heard.append(len(audio))
        return Passage(str(len(audio)), language or "es")


def _audio(samples: int) -> Samples:
    return np.ones(samples, np.float32)


async def _started(whisper: SlowWhisper) -> None:
    assert await asyncio.to_thread(whisper.started.wait, 10)


async def test_turns_are_heard_first_come_first_served() -> None:
    """Three lessons speak at once; the order is theirs."""
    whisper = SlowWhisper()
    whisper.go_on.set()
    with Recogniser(whisper) as recogniser:
        await asyncio.gather(*(recogniser.transcribe(_audio(n)) for n in (3, 1, 2)))

    assert whisper.heard == [3, 1, 2]


async def test_a_turn_that_is_cancelled_in_the_queue_is_never_heard() -> None:
    """A cancelled turn takes no time of the recogniser."""
    whisper = SlowWhisper()
    with Recogniser(whisper) as recogniser:
        first = asyncio.create_task(recogniser.transcribe(_audio(1)))
        await _started(whisper)
        second = asyncio.create_task(recogniser.transcribe(_audio(2)))
        third = asyncio.create_task(recogniser.transcribe(_audio(3)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        whisper.go_on.set()
        await asyncio.gather(first, third)

        assert whisper.heard == [1, 3]
        assert recogniser.requests == 0


async def test_a_full_queue_refuses_at_once() -> None:
    """Better an error now than an answer that comes too late."""
    whisper = SlowWhisper()
    with Recogniser(whisper, backlog=1) as recogniser:
        first = asyncio.create_task(recogniser.transcribe(_audio(1)))
        await _started(whisper)
        with pytest.raises(BusyError, match="1 turns wait"):
            await recogniser.transcribe(_audio(2))
        whisper.go_on.set()

        assert (await first).text == "1"


async def test_a_short_turn_overtakes_the_rest_of_a_long_one() -> None:
    """A monologue delays others by one piece, not by all of them."""
    whisper = SlowWhisper()
    with Recogniser(whisper) as recogniser:
        long = asyncio.create_task(recogniser.transcribe(_audio(40 * HEARING_RATE)))
        await _started(whisper)
        short = asyncio.create_task(recogniser.transcribe(_audio(1)))
        await asyncio.sleep(0)
        whisper.go_on.set()
        transcript, _ = await asyncio.gather(long, short)

    assert whisper.heard[1] == 1
    assert len(transcript.heard) == len(whisper.heard) - 1
    assert transcript.seconds == 40


def test_a_long_turn_is_cut_where_it_is_quietest() -> None:
    """No piece is too long, none is lost, and the cut lies in the pause."""
    audio = _audio(20 * HEARING_RATE)
    audio[9 * HEARING_RATE : 10 * HEARING_RATE] = 0

    bounds = list(pieces(audio))

    assert len(bounds) == 2
    assert bounds[0][0] == 0
    assert 9 * HEARING_RATE < bounds[0][1] < 10 * HEARING_RATE
    assert bounds[1] == (bounds[0][1], len(audio))


@pytest.mark.parametrize("seconds", [0, 1, 13, 13.5, 26.01, 119.9])
def test_every_piece_fits_the_model(seconds: float) -> None:
    """Pieces follow each other without a gap, none longer than the model takes."""
    bounds = list(pieces(_audio(int(seconds * HEARING_RATE))))

    assert [start for start, _ in bounds[1:]] == [end for _, end in bounds[:-1]]
    assert all(end - start <= PIECE_SECONDS * HEARING_RATE for start, end in bounds)
    assert bounds[-1][1] == int(seconds * HEARING_RATE)

"""Speech recognition that starts in a pause."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable
from typing import Any, Never

import pytest
from livekit import rtc
from livekit.agents import stt
from livekit.agents.stt import SpeechEventType
from livekit.agents.vad import VADEvent, VADEventType

from loqua_host.job.engines.eager import PAUSE_SECONDS, EagerSTT

RATE = 16_000
WINDOW = 0.05


class CountingRecogniser(stt.STT[Never]):
    """A recogniser that returns the number of windows of audio, when a test lets it."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.asked: list[int] = []
        self.dropped = 0
        self.fails = False
        self.may_answer = asyncio.Event()

    async def _recognize_impl(self, buffer: Any, **_: Any) -> stt.SpeechEvent:
        windows = round(buffer.duration / WINDOW)
        self.asked.append(windows)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        if self.fails:
            raise ValueError("no model")
        heard = stt.SpeechData(language="es", text=f"{windows} windows")  # type: ignore[arg-type]  # as LiveKit's plugins do
        return stt.SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


class Detector:
    """A voice activity detector whose result a test sets."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[VADEvent] = asyncio.Queue()

    def stream(self) -> "Detector":
        """Return what detects."""
        return self

    def __aiter__(self) -> AsyncIterator[VADEvent]:
        return self._each()

    async def _each(self) -> AsyncIterator[VADEvent]:
        while True:
            yield await self.events.get()

    def end_input(self) -> None:
        """Take no more sound."""

    async def aclose(self) -> None:
        """Close nothing."""

    def detect(self, *events: VADEvent) -> None:
        """Detect something."""
        for event in events:
            self.events.put_nowait(event)


def event(kind: VADEventType, windows: int = 1, silence: float = 0.0) -> VADEvent:
    """Return an event with so many windows of sound, after so much silence."""
    frame = rtc.AudioFrame.create(RATE, 1, round(windows * WINDOW * RATE))
    return VADEvent(
        type=kind,
        samples_index=0,
        timestamp=0.0,
        speech_duration=1.0,
        silence_duration=silence,
        frames=[frame],
        speaking=kind is not VADEventType.END_OF_SPEECH,
        raw_accumulated_silence=silence,
    )


START = event(VADEventType.START_OF_SPEECH, 4)
SPEECH = event(VADEventType.INFERENCE_DONE)
PAUSE = event(VADEventType.INFERENCE_DONE, silence=PAUSE_SECONDS)
END = event(VADEventType.END_OF_SPEECH, 9, silence=0.7)


class Listening:
    """An eager recogniser at work."""

    def __init__(self) -> None:
        self.engine, self.detector = CountingRecogniser(), Detector()
        vad: Any = self.detector
        self.stream = EagerSTT(stt=self.engine, vad=vad).stream()

    async def goes(self, events: Iterable[VADEvent]) -> None:
        """Send the learner's audio until it is handled."""
        self.detector.detect(*events)
        for _ in range(20):
            await asyncio.sleep(0)

    async def final(self) -> str:
        """Return the next transcript."""
        async for found in self.stream:
            if found.type is SpeechEventType.FINAL_TRANSCRIPT:
                return found.alternatives[0].text
        raise AssertionError("the stream ended")


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    """Listen until the test is over."""
    it = Listening()
    yield it
    await it.stream.aclose()


async def test_words_are_recognised_while_it_is_still_silent(listening: Listening) -> None:
    """The text is ready when the utterance ends: the engine is asked once."""
    listening.engine.may_answer.set()
    await listening.goes([START, SPEECH, PAUSE])
    assert listening.engine.asked == [6]
    await listening.goes([PAUSE, END])
    assert await listening.final() == "6 windows"
    assert listening.engine.asked == [6]


async def test_who_goes_on_after_a_pause_is_heard_as_a_whole(listening: Listening) -> None:
    """The text of the first half alone is dropped."""
    await listening.goes([START, PAUSE])
    await listening.goes([SPEECH])
    assert listening.engine.dropped == 1
    listening.engine.may_answer.set()
    await listening.goes([PAUSE, END])
    assert await listening.final() == "7 windows"


async def test_an_utterance_that_ends_at_once_is_recognised_then(listening: Listening) -> None:
    """Voice activity detection may wait for less time than the pause takes."""
    listening.engine.may_answer.set()
    await listening.goes([START, END])
    assert await listening.final() == "9 windows"


async def test_the_next_utterance_begins_anew(listening: Listening) -> None:
    """Its sound is its own."""
    listening.engine.may_answer.set()
    await listening.goes([START, SPEECH, PAUSE, END])
    await listening.goes([START, PAUSE, END])
    assert [await listening.final(), await listening.final()] == ["6 windows", "5 windows"]


async def test_a_failure_in_a_pause_counts_only_if_the_learner_is_done(
    listening: Listening,
) -> None:
    """If the learner continues, the next attempt recognises the utterance."""
    unread: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, error: unread.append(error))
    listening.engine.fails = True
    listening.engine.may_answer.set()
    await listening.goes([START, PAUSE])
    listening.engine.fails = False
    await listening.goes([SPEECH, PAUSE, END])
    assert await listening.final() == "7 windows"
    gc.collect()
    assert unread == []


async def test_closing_drops_what_is_being_recognised(listening: Listening) -> None:
    """No task continues."""
    await listening.goes([START, PAUSE])
    await listening.stream.aclose()
    assert listening.engine.dropped == 1

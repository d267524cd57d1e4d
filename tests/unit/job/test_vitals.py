"""Detection of a stuck voice session by its input and output."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentStateChangedEvent,
    UserStateChangedEvent,
)
from livekit.agents.metrics import VADMetrics
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.job.engines.failover import Failover
from loqua_host.job.engines.fallbacks import FallbackSTT
from loqua_host.job.voice.vitals import (
    MUTE_SECONDS,
    STUCK_SECONDS,
    UNHEARD,
    UNPROCESSED_SECONDS,
    Vitals,
)

from .conftest import FakeLoudspeaker, FakeMicrophone, FakeSession
from .engines import FakeSTT, says

SOUND = rtc.AudioFrame(bytes(2 * 2400), 24_000, 1, 2400)
"""A tenth of a second."""

NO_SETTINGS: Any = None


class FakeDetector(EventEmitter[str]):
    """A voice activity detector that processes audio when a test says so."""

    def look(self) -> None:
        """Emit LiveKit's metric, which comes every second."""
        metrics = VADMetrics(
            label="vad",
            timestamp=0,
            idle_time=0,
            inference_duration_total=0,
            inference_count=31,
        )
        self.emit("metrics_collected", metrics)


class VitalsSession(FakeSession):
    """A session whose state a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.vad = FakeDetector()
        self.cleared = 0

    def clear_user_turn(self) -> None:
        """Begin to recognise anew."""
        self.cleared += 1

    def speak(self, on: bool) -> None:
        """Start or stop the tutor's speech."""
        old, self.agent_state = self.agent_state, "speaking" if on else "listening"
        event = AgentStateChangedEvent(old_state=old, new_state=self.agent_state)  # type: ignore[arg-type]  # one of these
        self.emit("agent_state_changed", event)

    def hear(self, seconds: float) -> None:
        """Recognise speech of the learner."""
        for new, at in (("speaking", 0.0), ("listening", seconds)):
            old = "listening" if new == "speaking" else "speaking"
            event = UserStateChangedEvent(old_state=old, new_state=new, created_at=at)  # type: ignore[arg-type]  # as above
            self.emit("user_state_changed", event)


class EngineAgent(Agent):
    """An agent with an engine and a recogniser whose results a test sets."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.sound: asyncio.Queue[rtc.AudioFrame | None] = asyncio.Queue()
        self.words: list[SpeechEvent | str] = []

    async def tts_node(self, text: Any, model_settings: Any) -> Any:  # noqa: ARG002  # by position
        """Synthesise the text in time."""
        async for _ in text:
            while (frame := await self.sound.get()) is not None:
                yield frame

    async def stt_node(self, audio: Any, model_settings: Any) -> Any:  # noqa: ARG002  # by position
        """Return the test's transcripts."""
        for words in self.words:
            yield words


class LateLoopClock:
    """The loop's clock plus a delay of the loop that a test sets."""

    skipped = 0.0

    def __call__(self) -> float:
        """Return what time it is."""
        return asyncio.get_running_loop().time() + self.skipped


class WatchedSession:
    """A session that has started and is watched."""

    def __init__(self) -> None:
        self.session = VitalsSession()
        self.microphone, self.loudspeaker = FakeMicrophone(), FakeLoudspeaker()
        self.session.input.audio, self.session.output.audio = self.microphone, self.loudspeaker
        self.stuck: list[str] = []
        self.late: list[float] = []
        session: Any = self.session
        self.clock = LateLoopClock()
        self.vitals = Vitals(session, self.clock, self.stuck.append, self.late.append)
        self.tutor = EngineAgent()
        self.vitals.watch()
        self.vitals.attach(self.tutor)
        self.looking = asyncio.create_task(self.vitals.run())

    async def sounds(self, seconds: float, *, taken: bool = True, looked_at: bool = True) -> None:
        """Receive audio from the room, processed by the session or not."""
        for tenth in range(round(seconds * 10)):
            await asyncio.sleep(0.1)
            self.microphone.frames.put_nowait(SOUND)
            if taken:
                await anext(self.session.input.audio)
            if looked_at and tenth % 10 == 9:
                self.session.vad.look()

    def asks(self, text: str) -> "asyncio.Task[list[Any]]":
        """Request speech from the session."""

        async def pieces() -> AsyncIterator[str]:
            yield text

        async def said() -> list[Any]:
            made: Any = self.tutor.tts_node(pieces(), NO_SETTINGS)
            return [it async for it in await made]

        return asyncio.create_task(said())

    async def hears(self, *words: SpeechEvent | str) -> list[Any]:
        """Emit a result of the recogniser."""

        async def nothing() -> AsyncIterator[Any]:
            return
            yield

        self.tutor.words = list(words)
        made: Any = self.tutor.stt_node(nothing(), NO_SETTINGS)
        return [it async for it in await made]


@pytest.fixture
async def watched() -> AsyncIterator[WatchedSession]:
    """Yield a watched session."""
    watched = WatchedSession()
    yield watched
    watched.looking.cancel()


async def test_a_session_that_looks_at_what_it_hears_is_well(watched: WatchedSession) -> None:
    """For as long as it likes."""
    await watched.sounds(60)
    assert watched.stuck == []


async def test_a_session_that_hears_and_does_not_look_is_deaf(watched: WatchedSession) -> None:
    """Said once, within seconds (livekit/livekit#4777)."""
    await watched.sounds(5)
    await watched.sounds(UNPROCESSED_SECONDS + 2, looked_at=False)
    assert watched.stuck == ["hearing"]


async def test_a_session_that_does_not_even_ask_for_sound_is_deaf(watched: WatchedSession) -> None:
    """Its task has ended, for whatever reason."""
    await watched.sounds(5)
    await watched.sounds(UNPROCESSED_SECONDS + 2, taken=False, looked_at=False)
    assert watched.stuck == ["hearing"]


async def test_who_is_silent_or_switched_off_is_not_deaf(watched: WatchedSession) -> None:
    """No sound comes from a room without a microphone, or while the learner is away."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    await asyncio.sleep(60)
    asking.cancel()
    watched.session.input.set_audio_enabled(on=False)
    await asyncio.sleep(60)
    watched.session.input.set_audio_enabled(on=True)
    await watched.sounds(9, looked_at=False)
    assert watched.stuck == []


async def test_a_voice_that_is_asked_and_gives_no_sound_is_mute(watched: WatchedSession) -> None:
    """A language model may think for as long as it needs: that comes before.

    An agent is silent from some moment on (livekit/agents#4028).
    """
    asking = asyncio.create_task(anext(watched.session.input.audio))
    await asyncio.sleep(60)
    saying = watched.asks("hola")
    await asyncio.sleep(MUTE_SECONDS - 2)
    assert watched.stuck == []
    await asyncio.sleep(4)
    assert watched.stuck == ["speaking"]
    saying.cancel()
    asking.cancel()


async def test_a_voice_that_gives_sound_or_is_interrupted_is_well(watched: WatchedSession) -> None:
    """And what has nothing to say is not asked."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    for text, ends in (("hola", True), ("hola", False), (" ", False)):
        saying = watched.asks(text)
        await asyncio.sleep(5)
        if ends:
            watched.tutor.sound.put_nowait(SOUND)
            watched.tutor.sound.put_nowait(None)
            assert await saying == [SOUND]
        elif text.strip():
            saying.cancel()
        await asyncio.sleep(30)
    assert watched.stuck == []
    asking.cancel()


async def test_a_node_that_does_not_even_take_its_words_is_mute(watched: WatchedSession) -> None:
    """One that fails or has no sound is another's business."""
    asking = asyncio.create_task(anext(watched.session.input.audio))

    async def fail(_text: Any, _settings: Any) -> Any:
        raise ConnectionError

    async def keep_silent(_text: Any, _settings: Any) -> Any:
        await asyncio.sleep(0)

    async def wait(_text: Any, _settings: Any) -> Any:
        await asyncio.Event().wait()

    for node in (fail, keep_silent):
        watched.tutor.tts_node = node  # type: ignore[method-assign]  # as an author may
        watched.vitals.attach(watched.tutor)
        await asyncio.wait([watched.asks("hola")])
        await asyncio.sleep(30)
        assert watched.stuck == []
    watched.tutor.tts_node = wait  # type: ignore[method-assign]  # as above
    watched.vitals.attach(watched.tutor)
    saying = watched.asks("hola")
    await asyncio.sleep(MUTE_SECONDS + 2)
    assert watched.stuck == ["speaking"]
    saying.cancel()
    asking.cancel()


async def test_only_who_detects_voices_is_asked_whether_they_look(watched: WatchedSession) -> None:
    """An agent may bring its own detector, or none: a realtime model hears by itself."""

    class OwnPipelineAgent(Agent):
        def __init__(self, vad: Any) -> None:
            super().__init__(instructions="", vad=vad)

    detector = FakeDetector()
    watched.vitals.attach(OwnPipelineAgent(detector))
    for _ in range(6):
        await watched.sounds(5, looked_at=False)
        detector.look()
    watched.vitals.attach(OwnPipelineAgent(None))
    await watched.sounds(30, looked_at=False)
    assert watched.stuck == []
    watched.vitals.attach(OwnPipelineAgent(detector))
    await watched.sounds(UNPROCESSED_SECONDS + 2)
    assert watched.stuck == ["hearing"]


async def test_how_late_a_session_is_is_reported_until_it_is_not(watched: WatchedSession) -> None:
    """Sound that has not been looked at, beyond the second that a look is about."""
    await watched.sounds(20)
    assert watched.late == []
    await watched.sounds(4, looked_at=False)
    assert watched.late == [pytest.approx(it, abs=0.15) for it in (1.0, 2.0, 3.0)]
    watched.session.vad.look()
    await watched.sounds(5)
    assert watched.late[3:] == [0.0]


async def test_an_event_loop_that_is_late_makes_its_session_late(watched: WatchedSession) -> None:
    """Its timers are the first to feel a busy machine."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    await asyncio.sleep(3.5)
    watched.clock.skipped = 0.4
    await asyncio.sleep(1)
    assert watched.late == [pytest.approx(0.4)]
    await asyncio.sleep(2)
    assert watched.late[1:] == [0.0]
    asking.cancel()


async def test_a_session_is_not_deaf_because_its_process_stood_still(
    watched: WatchedSession,
) -> None:
    """The queued audio arrives at once and is processed afterwards."""
    await watched.sounds(5)
    await watched.sounds(4, looked_at=False)
    watched.clock.skipped = 8
    for _ in range(80):
        watched.microphone.frames.put_nowait(SOUND)
        await anext(watched.session.input.audio)
    await watched.sounds(4, looked_at=False)
    assert watched.stuck == []
    await watched.sounds(5, looked_at=False)
    assert watched.stuck == ["hearing"]


async def test_a_session_is_not_mute_because_its_process_stood_still(
    watched: WatchedSession,
) -> None:
    """Its engine may have answered meanwhile."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    await asyncio.sleep(1)
    saying = watched.asks("hola")
    await asyncio.sleep(MUTE_SECONDS - 5)
    watched.clock.skipped = 8
    await asyncio.sleep(4)
    assert watched.stuck == []
    await asyncio.sleep(3)
    assert watched.stuck == ["speaking"]
    saying.cancel()
    asking.cancel()


async def test_a_tutor_that_speaks_on_when_all_has_been_played_is_mute(
    watched: WatchedSession,
) -> None:
    """Its session waits for the end of what has ended."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    watched.session.speak(on=True)
    for _ in range(300):  # faster than it is played
        await watched.session.output.audio.capture_frame(SOUND)
    await asyncio.sleep(30 + STUCK_SECONDS - 2)
    assert watched.stuck == []
    await asyncio.sleep(4)
    assert watched.stuck == ["speaking"]
    asking.cancel()


async def test_an_agent_is_known_by_its_first_word_and_not_twice(watched: WatchedSession) -> None:
    """Its greeting may be long; the next agent speaks through the same output."""
    output = watched.session.output.audio
    assert output is not watched.loudspeaker
    watched.vitals.attach(EngineAgent())
    assert watched.session.output.audio is output


async def test_what_is_played_goes_through_as_it_is(watched: WatchedSession) -> None:
    """Frames, ends and cuts; who is cut off has nothing left to play."""
    asking = asyncio.create_task(anext(watched.session.input.audio))
    output = watched.session.output.audio
    for _ in range(600):
        await output.capture_frame(SOUND)
    output.flush()
    output.clear_buffer()
    assert watched.loudspeaker.played == [*["0.1 s"] * 600, "all", "cut"]
    watched.session.speak(on=True)
    await asyncio.sleep(STUCK_SECONDS + 2)
    assert watched.stuck == ["speaking"]
    asking.cancel()


async def test_a_recogniser_without_a_word_is_begun_anew(watched: WatchedSession) -> None:
    """Once for some utterances in a row; a cough is none."""
    words = SpeechData(language="es", text="hola")  # type: ignore[arg-type]  # a str does
    final = SpeechEvent(type=SpeechEventType.FINAL_TRANSCRIPT, alternatives=[words])
    noticed = SpeechEvent(type=SpeechEventType.START_OF_SPEECH)
    with structlog.testing.capture_logs() as logs:
        for _ in range(UNHEARD):
            watched.session.hear(1.5)
            watched.session.hear(0.4)
        assert await watched.hears(final, "or a text") == [final, "or a text"]
        for _ in range(UNHEARD):
            watched.session.hear(1.5)
            await watched.hears(noticed)
        assert watched.session.cleared == 0
        watched.session.hear(1.5)
    assert watched.session.cleared == 1
    assert [line["event"] for line in logs] == ["lesson.recogniser_restarted"]


async def test_a_recogniser_of_a_list_without_a_word_is_replaced(watched: WatchedSession) -> None:
    """It takes sound and fails in nothing else."""
    first, second = FakeSTT(says("")), FakeSTT(says("hola"))
    clock = asyncio.get_running_loop().time
    vad: Any = object()
    failover = Failover("stt", range(2), clock, lambda _index: None)
    watched.session.stt = FallbackSTT([first, second], failover, vad)
    for _ in range(UNHEARD + 1):
        await watched.session.stt.recognize(SOUND)
        watched.session.hear(1.5)
    assert (await watched.session.stt.recognize(SOUND)).alternatives[0].text == "hola"
    assert watched.session.cleared == 1


async def test_a_session_without_sound_is_not_judged_by_it() -> None:
    """A tutor may type."""
    watched = WatchedSession()
    watched.session.input.audio = watched.session.output.audio = None
    session: Any = watched.session
    watched.vitals = Vitals(session, watched.clock, watched.stuck.append, watched.late.append)
    watched.vitals.attach(watched.tutor)
    assert watched.vitals.find_stuck() is None
    watched.vitals.unwatch()
    watched.looking.cancel()

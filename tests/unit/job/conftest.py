"""Fakes around a lesson in its job process, on virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, ConversationItemAddedEvent
from livekit.agents.llm import AgentHandoff, ChatContext, ChatMessage
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Ending, LessonReport, Mode, Progress, Tick
from loqua_host.contract.tutor import NoSettings
from loqua_host.errors import LinkError
from loqua_host.job.lesson.lesson_job import LessonJob
from loqua_host.job.lesson.runner import Runner
from loqua_host.job.lesson.stopwatch import Stopwatch
from loqua_host.job.telemetry import Telemetry
from loqua_host.job.tracing import SpanBuffer
from loqua_host.link.messages import Finish, Join, Recorded, SteppedOut, Welcome
from loqua_host.registry.author import Author
from loqua_host.testing.fake_room import FakeRoom
from loqua_host.testing.tutors import job_settings
from loqua_host.testing.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run all tests of this folder on virtual time."""
    return {"virtual": VirtualLoop}


SETTINGS = job_settings("conversation")

WELCOME = Welcome(
    lesson="lesson",
    session_id="sess_1",
    visit="sess_1",
    room="room",
    agent_id="agent",
    learner=Learner(user_id="maria", identity="maria"),
    context=LearnerContext(),
    language="es",
    mode=Mode.FULL,
)


AUTHOR = "tutor_of_an_author"
"""The package that the tutor's code is in."""


class FakeSpeech:
    """A speech that ends at a virtual second."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.heard = False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Ignore the callback: nobody waits for it here."""

    async def wait_for_playout(self) -> None:
        """Wait until it was said."""
        await asyncio.sleep(self.seconds)
        self.heard = True


class FakeMicrophone(AudioInput):
    """A microphone with the audio that a test puts in."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next frame."""
        return await self.frames.get()


class FakeLoudspeaker(AudioOutput):
    """A loudspeaker that records its audio."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=True))
        self.played: list[str] = []

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame."""
        await super().capture_frame(frame)
        self.played.append(f"{frame.duration:g} s")

    def flush(self) -> None:
        """Mark the end of the text."""
        super().flush()
        self.played.append("all")

    def clear_buffer(self) -> None:
        """Play no more of it."""
        self.played.append("cut")


class FakeSwitches:
    """The switches of a session's input and output."""

    def __init__(self, audio: AudioInput | AudioOutput) -> None:
        self.audio = audio
        self.video: object | None = None
        self.transcription: object | None = object()
        self.on: dict[str, bool] = {}

    @property
    def audio_enabled(self) -> bool:
        """Whether audio is let through."""
        return self.on.get("audio", True)

    def set_audio_enabled(self, on: bool) -> None:
        """Enable or disable audio."""
        self.on["audio"] = on

    def set_transcription_enabled(self, on: bool) -> None:
        """Enable or disable text."""
        self.on["text"] = on


class FakeInput:
    """LiveKit's reader of one participant's audio."""

    def __init__(self) -> None:
        self._accepted_sources = {rtc.TrackSource.SOURCE_MICROPHONE}
        self.track: str | None = None

    def set_track_sid(self, sid: str | None) -> None:
        """Read one track."""
        self.track = sid


class FakeSession(EventEmitter[str]):
    """LiveKit's voice session."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.said: list[str] = []
        self.history = ChatContext.empty()
        self.uninterruptible = 0
        self.started: dict[str, Any] = {}
        self.room_io = SimpleNamespace(
            set_participant=self.done.append,
            _on_user_input_transcribed=self.write_transcript,
            audio_input=FakeInput(),
        )
        self.on("user_input_transcribed", self.room_io._on_user_input_transcribed)
        self.written: list[Any] = []
        self.replied: list[str | None] = []
        self.current_agent = Agent(instructions="")
        self.current_speech: FakeSpeech | None = None
        self.input: Any = FakeSwitches(FakeMicrophone())
        self.output: Any = FakeSwitches(FakeLoudspeaker())
        self.listening: asyncio.Task[None] | None = None
        self.mute = False
        self.agent_state = "listening"
        self.user_state = "listening"
        self.options = SimpleNamespace(endpointing={"min_delay": 0.5, "max_delay": 3.0})
        self.llm: Any = None
        self.vad: Any = EventEmitter()
        self.stt: Any = None
        self.tts: Any = None
        self.closing_takes = 0.0

    def write_transcript(self, event: Any) -> None:
        """Write a transcript as LiveKit does."""
        self.written.append(event)

    async def start(self, agent: Any, **options: Any) -> None:
        """Begin."""
        self.done.append("started")
        self.started = {"agent": agent, **options}
        self.listening = asyncio.create_task(self._listen())

    def begin_to_teach(self) -> None:
        """Report the current agent as LiveKit does, the first one included."""
        item = AgentHandoff(new_agent_id=self.current_agent.id)
        self.emit("conversation_item_added", ConversationItemAddedEvent(item=item))

    async def _listen(self) -> None:
        await asyncio.sleep(0)
        while self.input.audio is not None:
            await anext(self.input.audio)

    def say(self, text: str, *, allow_interruptions: bool = True, **_options: Any) -> FakeSpeech:
        """Speak; a session without a voice raises."""
        self.uninterruptible += not allow_interruptions
        if self.mute:
            raise RuntimeError("no TTS")
        self.said.append(text)
        return FakeSpeech(2.0)

    def interrupt(self, *, force: bool = False) -> Any:
        """Stop speaking."""
        self.done.append("interrupted by force" if force else "interrupted")
        return asyncio.sleep(0) if not force else None

    def generate_reply(self, *, user_input: ChatMessage, chat_ctx: ChatContext) -> None:
        """Answer a text."""
        assert chat_ctx is not self.current_agent.chat_ctx
        self.replied.append(user_input.text_content)

    def commit_user_turn(self, *, transcript_timeout: float) -> "asyncio.Future[str]":
        """End the learner's turn."""
        self.done.append("committed")
        words: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(transcript_timeout, words.set_result, "")
        return words

    async def wait_for_idle(self) -> None:
        """Wait until nobody does anything."""
        self.done.append("idle")

    async def aclose(self) -> None:
        """End."""
        await asyncio.sleep(self.closing_takes)
        self.done.append("closed")


class FakeLink:
    """The link to the host, which records every ending by default."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.at: list[float] = []
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.gone = False
        self.records = True
        self.answer: Any = None

    async def send(self, message: Any) -> None:
        """Take a message."""
        if self.gone:
            raise LinkError("the host is gone")
        self.sent.append(message)
        self.at.append(asyncio.get_running_loop().time())
        if isinstance(message, Join) and self.answer is not None:
            self.incoming.put_nowait(self.answer)
            self.answer = None
        if isinstance(message, Finish | SteppedOut) and self.records:
            self.incoming.put_nowait(Recorded())

    async def receive(self) -> Any:
        """Return what the host sent; None once it is gone."""
        return await self.incoming.get()

    def lose(self) -> None:
        """Close the link as a host that dies does."""
        self.gone = True
        self.incoming.put_nowait(None)


@dataclass
class FakeHooks:
    """A tutor's hooks, each replaceable."""

    called: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    instead: dict[str, Callable[..., Any]] = field(default_factory=dict)
    author: Author = field(default_factory=lambda: Author([AUTHOR]))
    source: str = "conversation"

    async def _call(self, hook: str, default: Any, *arguments: Any) -> Any:
        self.called.append(hook)
        if hook in self.instead:
            outcome = self.instead[hook](*arguments)
            return await outcome if asyncio.iscoroutine(outcome) else outcome
        return default

    async def create_agent(self, lesson: Lesson) -> Any:
        """Return something like an agent."""
        return await self._call("create_agent", "agent", lesson)

    async def on_user_ready(self, lesson: Lesson) -> None:
        """Greet."""
        await self._call("on_user_ready", None, lesson)

    async def on_progress_tick(self, lesson: Lesson, tick: Tick) -> Progress | None:
        """Count the ticks."""
        self.ticks.append(tick)
        default = Progress(words_learned=tick.number)
        progress: Progress | None = await self._call("on_progress_tick", default, lesson, tick)
        return progress

    async def call_handler(self, handler: Callable[..., Any], event: Any) -> None:
        """Call a handler with an event."""
        await handler(event)

    async def on_session_end(self, lesson: Lesson, ending: Ending) -> LessonReport | None:
        """Report."""
        self.endings.append(ending)
        default = LessonReport(topics_covered=("food",))
        report: LessonReport | None = await self._call("on_session_end", default, lesson, ending)
        return report


class JobUnderTest:
    """A job process with its lesson, ready to run."""

    def __init__(self) -> None:
        self.room, self.session, self.link = FakeRoom(), FakeSession(), FakeLink()
        self.hooks = FakeHooks()
        self.settings, self.welcome = SETTINGS, WELCOME
        self.room.enter("maria")
        self.lesson = Lesson(
            id="lesson",
            visit="sess_1",
            room="room",
            learner=WELCOME.learner,
            context=WELCOME.context,
            language="es",
            settings=NoSettings(),
            session=self.session,  # type: ignore[arg-type]  # a fake
        )
        self.clock = Stopwatch(asyncio.get_running_loop().time)
        self.spans = SpanBuffer()
        clock = asyncio.get_running_loop().time
        self.telemetry = Telemetry(self.link, self.spans, clock)  # type: ignore[arg-type]  # a fake

    def configure_tutor(self, **written: Any) -> None:
        """Change the tutor's file."""
        tutor = self.settings.tutor.model_copy(update=written)
        self.settings = replace(self.settings, tutor=tutor)

    def limit(self, **seconds: float) -> None:
        """Change the limits of the lesson."""
        lesson = self.settings.lesson.model_copy(update=seconds)
        self.settings = replace(self.settings, lesson=lesson)

    def start(self) -> "asyncio.Task[None]":
        """Begin the lesson."""
        ctx: Any = SimpleNamespace(room=self.room)
        parts: Any = (self.link, self.lesson, self.hooks, self.settings, self.clock)
        job = LessonJob(ctx, *parts, self.welcome.last_try, self.welcome.called, self.telemetry)
        return asyncio.create_task(Runner(job).run())

    @property
    def finish(self) -> Finish:
        """Return the one farewell that the host got."""
        [finish] = [message for message in self.link.sent if isinstance(message, Finish)]
        return finish


@pytest.fixture
async def job() -> JobUnderTest:
    """Return a job whose learner is there."""
    return JobUnderTest()

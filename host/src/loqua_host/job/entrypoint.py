"""The entry point of a job process: load the tutor once, then teach one lesson."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import structlog
from livekit.agents import Agent, AgentSession, AutoSubscribe, JobContext, JobProcess
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.room_io import RoomOptions

from loqua_host.contract.lesson import Lesson, teach
from loqua_host.errors import LearnerError, LinkError
from loqua_host.job.engines.build import EngineWatch, build_voice
from loqua_host.job.lesson.lesson_job import LessonJob
from loqua_host.job.lesson.runner import Runner
from loqua_host.job.lesson.stopwatch import Stopwatch
from loqua_host.job.room.camera import Camera
from loqua_host.job.room.learner import wait_for_learner
from loqua_host.job.voice.session import build_session, say_out
from loqua_host.job.voice.track import published_track
from loqua_host.link.client import HostLink, open_link
from loqua_host.link.dispatch_metadata import find_handover
from loqua_host.link.messages import EngineServes, Join, Refused, Welcome
from loqua_host.livekit_internals import (
    follow_proxy_variables,
    job_info,
    leave_before_loop_ends,
    silence_native_log,
)
from loqua_host.registry.caller import HookCaller
from loqua_host.registry.loader import LoadedTutor, load_plugin
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.messages import message_in
from loqua_host.system.process import hide_memory
from loqua_host.system.proxies import bypass_native
from loqua_host.system.tasks import both, uncancelled

from .logs import send_logs_to_host
from .telemetry import Telemetry
from .tracing import SpanBuffer
from .watchdog import BLOCKED_SECONDS, Watchdog

__all__ = ["JobEntrypoint", "JobSetup"]

log = structlog.get_logger()

WELCOME_SECONDS = 30.0
"""Seconds that a job waits for the host's answer; the deadlines of API calls are shorter."""


@dataclass(frozen=True, slots=True)
class JobSetup:
    """Prepare an idle job process: send logs to the host and load the tutor."""

    settings: JobSettings

    def __call__(self, proc: JobProcess) -> None:
        """Load the tutor into `proc`, before any learner waits for it."""
        hide_memory()  # jobs of other tutors run as the same user
        send_logs_to_host()
        silence_native_log()  # 2,000 lines until the first sound: a third of its CPU time
        leave_before_loop_ends()
        follow_proxy_variables()
        spans = proc.userdata["spans"] = SpanBuffer()
        if self.settings.traced:
            spans.collect()
        tutor = self.settings.tutor
        proc.userdata["tutor"] = load_plugin(plugin=tutor.plugin, agent=tutor.agent)


@dataclass(frozen=True, slots=True)
class JobEntrypoint:
    """Teach one lesson in one room."""

    settings: JobSettings

    async def __call__(self, ctx: JobContext) -> None:
        """Connect and open the link, wait for the learner, teach the lesson, leave."""
        tutor: LoadedTutor = ctx.proc.userdata["tutor"]
        ctx.log_context_fields = _place(ctx, self.settings)
        info = job_info(ctx)
        bypass_native(info.url)
        try:
            async with AsyncExitStack() as stack:
                # If cancelled midway, LiveKit's client ends the process 15 s later (python-sdks
                # #784), so a cancellation waits until both have come to an end.
                _, link = await uncancelled(
                    both(
                        ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY),
                        self._link(stack, info.token),
                    )
                )
                log.info("room.connected", room=ctx.job.room.name, tutor=self.settings.tutor.name)
                track = await stack.enter_async_context(published_track(ctx.room))
                await self.serve(ctx, link, tutor, track)
        except LearnerError as error:
            log.error("lesson.refused", cause=error.cause, why=str(error), room=ctx.job.room.name)
        except LinkError as error:
            log.error("lesson.refused", cause="no_link", why=str(error), room=ctx.job.room.name)
        except asyncio.CancelledError:
            # LiveKit cancels a job whose host has died: leave the room, or its tutor stays there.
            await ctx.room.disconnect()
            raise
        finally:
            ctx.shutdown("lesson over")

    async def _link(self, stack: AsyncExitStack, token: str) -> HostLink:
        """Open the link until the stack is closed; a host that hangs is one that is not there."""
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                return await stack.enter_async_context(open_link(self.settings.link.path, token))
        except TimeoutError:
            raise LinkError("the host does not respond on its socket") from None

    async def serve(
        self, ctx: JobContext, link: HostLink, tutor: LoadedTutor, track: AudioOutput | None
    ) -> None:
        """Join the lesson in a connected room, and teach it to its end; or apologise.

        Args:
            ctx: LiveKit's context.
            link: The link to the host.
            tutor: The tutor.
            track: Where the tutor speaks; None without sound.

        Raises:
            LearnerError: If no learner joins in time.
            LinkError: If the host does not answer.
        """
        match await self._ask(ctx, link):
            case Welcome() as welcome:
                spans: SpanBuffer = ctx.proc.userdata["spans"]
                if self.settings.traced and not welcome.traced:
                    spans.discard()
                ctx.log_context_fields |= _bound(welcome)
                now = asyncio.get_running_loop().time
                telemetry = Telemetry(link, spans, now)
                engines = EngineWatch(
                    lambda kind, index: telemetry.queue(EngineServes(kind=kind, index=index)),
                    welcome.engines,
                )
                lesson = self._open(welcome, tutor, ctx.job.metadata, engines)
                lesson.session.output.audio = track
                camera = None
                if tutor.tutor.video:
                    camera = Camera(ctx.room, welcome.learner.identity)
                    lesson.look = camera.look
                teach(lesson)
                clock = Stopwatch(now, welcome.seconds)
                hooks = HookCaller(
                    tutor,
                    self.settings.lesson.limits,
                    timed=telemetry.time_hook,
                    speech=lambda: lesson.session.current_speech,
                )
                job = LessonJob(
                    ctx,
                    link,
                    lesson,
                    hooks,
                    self.settings,
                    clock,
                    last_try=welcome.last_try,
                    called=welcome.called,
                    telemetry=telemetry,
                    camera=camera,
                )
                limit = min(BLOCKED_SECONDS, self.settings.lesson.limits.create_agent)
                with Watchdog(hooks.author, limit).guarding():
                    await Runner(job).run()
            case Refused() as refused:
                await self._apologise(ctx, refused, track)
            case _:
                raise LinkError("the host gave no answer")

    async def _ask(self, ctx: JobContext, link: HostLink) -> object:
        """Join when the learner is present, unless the host refuses before."""
        answer = asyncio.create_task(link.receive())
        learner = asyncio.create_task(wait_for_learner(ctx, self.settings.lesson.learner_timeout))
        try:
            await asyncio.wait({answer, learner}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await link.send(Join(identity=learner.result().identity))
            async with asyncio.timeout(WELCOME_SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            answer.cancel()
            learner.cancel()

    def _open(
        self, welcome: Welcome, tutor: LoadedTutor, metadata: str, engines: EngineWatch
    ) -> Lesson:
        return Lesson(
            id=welcome.lesson,
            visit=welcome.visit,
            room=welcome.room,
            learner=welcome.learner,
            context=welcome.context,
            language=welcome.language,
            settings=tutor.read_settings(self.settings.tutor.settings),
            session=self.build_session(welcome, engines),
            secrets={name: welcome.secrets[name] for name in tutor.tutor.secrets},
            mode=welcome.mode,
            resumed=welcome.resumed,
            progress=welcome.progress,
            state=welcome.state,
            turns=welcome.turns,
            handover=find_handover(metadata, welcome.learner.user_id),
            voice_in=partial(build_voice, self.settings.engines, welcome.secrets),
        )

    def build_session(self, welcome: Welcome, engines: EngineWatch) -> "AgentSession[None]":
        """Build the voice session of a lesson without starting it."""
        return build_session(
            self.settings.engines,
            welcome.language,
            welcome.secrets,
            several=self.settings.tutor.audio_input == "all",
            watch=engines,
        )

    async def _apologise(
        self, ctx: JobContext, refused: Refused, track: AudioOutput | None
    ) -> None:
        """Apologise to the learner that there is no lesson, if a voice is available."""
        engines = self.settings.engines
        if not refused.language or not (engines.tts or engines.llm):  # a realtime model also speaks
            return
        message = message_in(refused.language, self.settings.messages.lesson_unavailable)
        session = build_session(engines, refused.language, refused.secrets)
        session.output.audio = track
        await session.start(
            Agent(instructions=""),
            room=ctx.room,
            session_host=False,
            record=False,
            room_options=RoomOptions(audio_output=False),
        )
        await say_out(session, message)
        await session.aclose()


def _place(ctx: JobContext, settings: JobSettings) -> dict[str, str]:
    """Return the initial fields of every log record of this process."""
    return {"agent_id": settings.agent_id, "room": ctx.job.room.name, "job_id": ctx.job.id}


def _bound(welcome: Welcome) -> dict[str, str]:
    """Return the fields of every log record once the lesson is known, also of libraries."""
    return {
        "agent_id": welcome.agent_id,
        "session_id": welcome.session_id,
        "user_id": welcome.learner.user_id,
    }

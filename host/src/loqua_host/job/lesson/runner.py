"""One lesson in its job process: hooks, voice session, ticks, and one finish."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator

import structlog
from livekit import rtc
from livekit.agents import Agent, CloseEvent, room_io
from livekit.agents.llm import RealtimeModel
from pydantic import ValidationError

from loqua_host.contract.display import LessonOutcome
from loqua_host.contract.learner import Learner
from loqua_host.contract.records import Ending, LessonReport, Progress, Tick
from loqua_host.errors import LinkError
from loqua_host.events import LearnerLeft, LearnerReturned
from loqua_host.job.room.chat import Chat
from loqua_host.job.room.connection import RoomConnection
from loqua_host.job.room.display import Display
from loqua_host.job.room.events import EventRelay
from loqua_host.job.room.floor import Floor, until_free
from loqua_host.job.room.handoffs import HandoffClient
from loqua_host.job.room.listeners import Listeners
from loqua_host.job.room.presence import Presence, PresenceState
from loqua_host.job.voice.audio_gate import AudioGate
from loqua_host.job.voice.audio_input import MixedAudioInput
from loqua_host.job.voice.greeting import Greeting
from loqua_host.job.voice.last_words import LastWords
from loqua_host.job.voice.latency import measured
from loqua_host.job.voice.microphone import AUDIO_OPTIONS, Microphone
from loqua_host.job.voice.nodes import Agents
from loqua_host.job.voice.own_voice import OwnVoice
from loqua_host.job.voice.recognitions import Recognitions
from loqua_host.job.voice.session import (
    apologise,
    close_voice,
    say_out,
    wait_for_playout,
)
from loqua_host.job.voice.speakers import Speakers
from loqua_host.job.voice.transcripts import Transcripts
from loqua_host.job.voice.turn_ends import following_words
from loqua_host.job.voice.unanswered import UnansweredTurns
from loqua_host.job.voice.vitals import Part, Vitals
from loqua_host.link.messages import (
    LONGEST_LATE,
    MAX_TURNS,
    CallbackFailed,
    ConnectionLost,
    ContextLoaded,
    Finish,
    HandedBack,
    HandoffRefused,
    Join,
    Late,
    ModeChanged,
    Others,
    ProgressRefused,
    Recorded,
    Refused,
    Returned,
    StepOut,
    SteppedOut,
    Welcome,
    WrapUp,
    reasons_of,
)
from loqua_host.livekit_internals import forget_session, send_timeline
from loqua_host.registry.author import Failure
from loqua_host.settings.messages import message_in

from .checkpoints import Checkpoints
from .conversation import answer_typed, last_sentences, recall, well_formed
from .delivery import deliver
from .failures import Failures, FailureWatch, log_failure
from .lesson_job import LessonJob
from .limits import Deadline, Silence, enforce_limits
from .sequence import Reason, run_lesson

__all__ = ["Runner"]

log = structlog.get_logger()

ANNOUNCED_SECONDS = 10.0
"""Seconds that a specialist waits for the floor before it speaks anyway."""


class Runner:
    """Run one lesson, from the host's welcome to the record in the ledger.

    It implements the steps whose order `sequence` defines.

    Attributes:
        reason: The reason the lesson has been ended for, None while nobody has ended it.
    """

    def __init__(self, job: LessonJob) -> None:
        self._ctx = job.ctx
        self._link = job.link
        self._lesson = job.lesson
        self._hooks = job.hooks
        self._settings = job.settings
        self._clock = job.clock
        self._last_try = job.last_try
        self._called = job.called
        self._telemetry = job.telemetry
        self._camera = job.camera
        self._session = job.lesson.session
        self.reason: str | None = None
        self._giving_up = asyncio.Event()
        self._unidentified = asyncio.Queue[str]()
        self._follow_session()
        self._follow_room()
        self._follow_voices()
        self._gate = AudioGate(
            self._session,
            self._last_words,
            self._clock,
            self._silence,
            is_open=lambda: self._presence.here and self._floor.held,
            is_connected=lambda: self._connection.connected,
        )

    def _follow_session(self) -> None:
        """Create what follows the voice session."""
        now, telemetry = asyncio.get_running_loop().time, self._telemetry
        self._failures = Failures(
            self._session,
            self._settings.lesson.failing_ticks,
            report=self._report_failure,
            apologise=self._apologise,
            give_up=self._giving_up.set,
        )
        self._silence = Silence(self._session, now)
        self._last_words = LastWords(self._session, now)
        self._deadline = Deadline(now)
        self._checkpoints = Checkpoints(self._lesson, self._link, self._clock)
        self._vitals = Vitals(
            self._session,
            now,
            self._on_stuck,
            lambda seconds: telemetry.queue(Late(seconds=min(seconds, LONGEST_LATE))),
        )
        self._greeting = Greeting(self._session)
        self._own_voice = OwnVoice(self._session)

    def _follow_room(self) -> None:
        """Create what follows the room: presence, floor, events."""
        room, lesson, settings = self._ctx.room, self._lesson, self._settings
        self._floor = Floor(room, self._on_floor, held=settings.tutor.is_automatic)
        announcement = settings.messages.specialist_joins
        self._handoffs = HandoffClient(lesson, self._link, self._floor, announcement)
        self._events = EventRelay(room, lesson, self._hooks)
        self._display = Display(room, lesson)
        self._presence = Presence(
            room,
            lesson.learner.identity,
            settings.lesson.reconnect_timeout,
            on_change=self._on_presence,
            ask=self._unidentified.put_nowait,
        )
        self._connection = RoomConnection(
            room,
            on_change=self._on_connection,
            on_end=self._on_room_closed,
            on_loss=lambda: lesson.end(Reason.CONNECTION_LOST),
        )

    def _follow_voices(self) -> None:
        """Create the audio input and what identifies speakers."""
        room, lesson = self._ctx.room, self._lesson
        self._microphone = Microphone(room, lesson)
        mixed_audio = self._mixed_audio = (
            MixedAudioInput(room) if self._settings.tutor.audio_input == "all" else None
        )
        self._speakers = Speakers(lesson, mixed_audio.levels if mixed_audio else None)
        self._transcripts = Transcripts(room, lesson, mixed_audio.track_of) if mixed_audio else None
        self._listeners = Listeners(room, lesson, mixed_audio, self._speakers)
        attached = (
            UnansweredTurns(
                self._session
            ),  # the innermost, which adds turns as the others mark them
            self._speakers,
            self._vitals,
            self._greeting,
            self._own_voice,
            Recognitions(),
        )
        self._watchers = (
            self._events,
            self._connection,
            self._silence,
            self._presence,
            self._failures,
            self._checkpoints,
            self._speakers,
            self._vitals,
            self._greeting,
            self._own_voice,
            Agents(self._session, [one.attach for one in attached]),
            self._microphone,
            self._listeners,
            Chat(room, self._listeners.learners, self._on_typed),
        )

    async def run(self) -> None:
        """Run the lesson until it is ended, then finish it, whatever happens."""
        with FailureWatch(self._hooks.author, self._failures.on_failure).watching():
            await run_lesson(self, failing_ticks=self._settings.lesson.failing_ticks)

    async def until_ended(self, teaching: Coroutine[None, None, None]) -> None:
        """Run `teaching` and its companions until the lesson is ended."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in (teaching, *self._background())]
            self._watch()
            with (
                measured(self._session, self._telemetry.queue),
                following_words(self._session, self._lesson.language, self._is_expected),
            ):
                self.reason = str(await self._lesson.ended())  # the tutor may pass any type
            for task in running:
                task.cancel()

    def _is_expected(self, words: str) -> bool:
        expects = self._lesson.expects
        return expects is not None and expects(words)

    def _background(self) -> Iterator[Coroutine[None, None, None]]:
        """Yield the coroutines that run beside teaching."""
        lesson, settings, put = self._lesson, self._settings, self._events.put
        yield self._follow_host()
        yield self._telemetry.send()
        if settings.lesson.timeline:
            yield send_timeline(self._session, self._ctx.room)
        yield self._ask_host()
        yield self._events.run()
        yield enforce_limits(lesson, settings, self._silence, self._clock, self._deadline, put)
        yield self._checkpoints.run()
        yield self._handoffs.run()
        yield self._floor.show()
        yield self._display.run()
        yield self._give_up()
        yield self._vitals.run()
        if self._transcripts is not None:
            yield self._transcripts.run()

    def _watch(self) -> None:
        self._ctx.room.on("participant_attributes_changed", self._on_attributes)
        for one in self._watchers:
            one.watch()

    def stop_watching(self) -> None:
        """Stop the clock and whatever follows room and session."""
        self._clock.pause()
        self._ctx.room.off("participant_attributes_changed", self._on_attributes)
        self._floor.unwatch()
        for one in self._watchers:
            one.unwatch()

    async def create_agent(self) -> None:
        """Call the tutor's `create_agent`."""
        self._lesson.agent = await self._hooks.create_agent(self._lesson)

    async def on_user_ready(self) -> None:
        """Call the tutor's `on_user_ready`."""
        await self._hooks.on_user_ready(self._lesson)
        self._greeting.end()

    async def until_tick(self) -> None:
        """Wait for the time of the next progress tick."""
        await asyncio.sleep(self._settings.lesson.tick_every)

    async def on_progress_tick(self, number: int) -> Progress | None:
        """Call the tutor's `on_progress_tick`."""
        now = Tick(number=number, seconds=self._clock.seconds)
        progress = await self._hooks.on_progress_tick(self._lesson, now)
        if progress is not None:
            await self._display.send(progress)
        return progress

    async def send_checkpoint(self, progress: Progress | None = None) -> None:
        """Send the host the checkpoint from which another job could continue."""
        await self._checkpoints.send(progress)

    def _report_failure(self, failure: Failure) -> None:
        log_failure(self._hooks.source, failure)
        self._telemetry.queue(CallbackFailed())

    def _apologise(self) -> None:
        """Apologise, if the learner can hear it and the lesson continues."""
        if self._floor.held and self._presence.here:
            message = message_in(self._lesson.language, self._settings.messages.went_wrong)
            apologise(self._session, message)

    async def say_unavailable(self) -> None:
        """Announce that the lesson cannot continue."""
        unavailable = self._settings.messages.lesson_unavailable
        await say_out(self._session, message_in(self._lesson.language, unavailable))

    async def _give_up(self) -> None:
        """End the lesson politely once the tutor's agent has failed too often."""
        await self._giving_up.wait()
        await self.say_unavailable()
        self.end(Reason.AGENT_FAILED)

    def end(self, reason: str) -> None:
        """End the lesson, unless it has been ended already."""
        self._lesson.end(reason)

    async def take_floor(self) -> None:
        """Wait for the floor.

        A tutor that is restored during a specialist's lesson greets after it, with the result if
        the lesson has called the specialist. A specialist greets after its announcement.
        """
        if self._settings.tutor.is_automatic:
            self._floor.watch()
            if self._called:
                self._lesson.handback = await self._handoffs.take_up()
            await self._floor.free()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCED_SECONDS):
                    await until_free(self._ctx.room)
            self._floor.take()
            self._gate.open()

    async def start_session(self) -> None:
        """Start the voice session, with a silent agent if there is no other; once."""
        if self._gate.started:
            return
        agent = self._lesson.agent or Agent(instructions="")
        self._session.on("close", self._on_close)
        if self._lesson.turns:
            await recall(self._session, agent, self._lesson.turns)
        if self._mixed_audio is not None:
            self._session.input.audio = self._mixed_audio
            self._listeners.update()
        await self._session.start(
            agent,
            room=self._ctx.room,
            # No participant may control the session, and nothing is recorded.
            session_host=False,
            record=False,
            room_options=room_io.RoomOptions(
                participant_identity=self._lesson.learner.identity,
                close_on_disconnect=False,
                audio_input=AUDIO_OPTIONS if self._mixed_audio is None else False,
                audio_output=False,  # the track is there already
                video_input=self._camera is not None,
                text_input=False,
            ),
        )
        model = self._session.current_agent.llm or self._session.llm
        if self._camera is not None and isinstance(model, RealtimeModel):
            self._camera.subscribe_all()
        self._microphone.take_over(self._session.room_io)
        if self._transcripts is not None:
            self._transcripts.take_over(self._session)
        self._gate.start(on=self._presence.here)

    async def _on_typed(self, learner: Learner, text: str) -> None:
        if self._gate.started and self._floor.held and self._presence.here:
            self._silence.end()
            self._failures.begin_turn()
            await self._session.interrupt()
            await answer_typed(self._session, learner, text)

    def _on_close(self, event: CloseEvent) -> None:
        """End the lesson if the tutor closed its session, and handle a failed one as lost."""
        if event.error is None:
            self.end(Reason.VOICE_CLOSED)
        else:
            log.error("lesson.voice_failed", error=type(event.error).__name__)
            self._on_voice_lost()

    def _on_stuck(self, part: Part) -> None:
        log.error("lesson.voice_stuck", part=part)
        self._on_voice_lost()

    def _on_voice_lost(self) -> None:
        """Leave the lesson to another job, unless this is the last one."""
        self.end(Reason.VOICE_FAILED if self._last_try else Reason.VOICE_LOST)

    def _on_floor(self, held: bool) -> None:
        log.info("lesson.floor_taken_back" if held else "lesson.floor_given_away")
        self._change_gate(opens=held)

    def _change_gate(self, *, opens: bool) -> None:
        (self._gate.open if opens else self._gate.close)()

    async def _ask_host(self) -> None:
        """Query the host about each participant that joins while the learner is away."""
        while True:
            unidentified = await self._unidentified.get()
            with contextlib.suppress(LinkError):  # the link's reader handles it
                await self._link.send(Join(identity=unidentified))

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        """Request that the host verifies the learner after an attribute has changed."""
        if "user_id" in changed and participant.identity == self._lesson.learner.identity:
            self._unidentified.put_nowait(participant.identity)

    def _on_connection(self, connected: bool) -> None:
        """Check the learner's presence and identity again when the connection is back."""
        log.warning("lesson.reconnected" if connected else "lesson.reconnecting")
        if connected:
            self._presence.look()
            self._unidentified.put_nowait(self._lesson.learner.identity)
        self._gate.set_clock()

    def _on_room_closed(self) -> None:
        self.end(Reason.ROOM_CLOSED if self._presence.here else Reason.LEARNER_LEFT)

    def _on_presence(self, change: PresenceState) -> None:
        """Close the audio gate while the learner is away, and open it when they return."""
        if change is PresenceState.GONE:
            connected = self._connection.connected
            self.end(Reason.LEARNER_LEFT if connected else Reason.CONNECTION_LOST)
            return
        here = change is PresenceState.HERE
        log.info("lesson.learner_returned" if here else "lesson.learner_away")
        self._events.put(LearnerReturned() if here else LearnerLeft())
        self._change_gate(opens=here)

    def fall_silent(self) -> None:
        """Interrupt the current speech."""
        self._gate.fall_silent()

    def _rebind(self, learner: Learner) -> None:
        """Resume with a learner who is back, with their current identity."""
        if self._gate.started and learner.identity != self._lesson.learner.identity:
            self._session.room_io.set_participant(learner.identity)
        self._lesson.learner = learner
        self._microphone.look()
        self._listeners.update()
        self._presence.confirm(learner.identity)

    async def _follow_host(self) -> None:
        while (message := await self._link.receive()) is not None:
            match message:
                case WrapUp() | StepOut():
                    self._end_for(message)
                case ModeChanged(mode=mode):
                    self._lesson.mode = mode
                case ContextLoaded(context=context):
                    self._lesson.context = context
                case ProgressRefused(why=why):
                    log.warning("lesson.progress_refused", tutor=self._settings.tutor.name, why=why)
                case Others():
                    self._listeners.set_others(message)
                case Returned(learner=learner):
                    self._rebind(learner)
                case HandedBack() | HandoffRefused():
                    self._handoffs.on_answer(message)
                case Welcome() | Refused() | Recorded():
                    log.warning("link.unexpected", kind=message.type)
        self.end(Reason.HOST_LOST)

    def _end_for(self, message: WrapUp | StepOut) -> None:
        """End the lesson within the host's deadline, or leave it to a later job.

        It is left only while the learner is away and not about to return.
        """
        if isinstance(message, StepOut):
            if not (self._presence.here or self._presence.may_be_back):
                self.end(Reason.CAPACITY_NEEDED)
        elif message.seconds:
            log.info("lesson.ends_within", seconds=round(message.seconds), why=message.reason)
            self._deadline.set(message.seconds, message.reason)
        else:
            self.end(message.reason)

    async def leave_room(self) -> None:
        """Leave the room, so that no unresponsive tutor stays in it."""
        await self._ctx.room.disconnect()

    async def wait_for_playout(self) -> None:
        """Wait until a present learner has heard the current speech."""
        if self._lesson.learner.identity in self._ctx.room.remote_participants:
            await wait_for_playout(self._session)

    async def take_last_words(self) -> None:
        """Commit what the learner has said so far as a turn."""
        await self._last_words.take()

    async def close_session(self) -> None:
        """Close the voice session."""
        if not await close_voice(self._session, self._mixed_audio):
            log.error("lesson.voice_not_closed", tutor=self._settings.tutor.name)
            forget_session(self._ctx)

    def ending(self, reason: str) -> Ending:
        """Return how the lesson ended, for the tutor and the record."""
        return Ending(reason=well_formed(reason), seconds=self._clock.seconds)

    async def on_session_end(self, ending: Ending) -> LessonReport | None:
        """Call the tutor's `on_session_end`; an invalid report is dropped."""
        report = await self._hooks.on_session_end(self._lesson, ending)
        try:
            return report and LessonReport.model_validate(report)
        except ValidationError as error:
            log.error("lesson.report_refused", why=reasons_of(error))
            return None

    async def deliver(
        self, ending: Ending, report: LessonReport | None, *, resumable: bool
    ) -> None:
        """Send the report to the host, and wait until it is in the ledger."""
        if resumable:
            last: Finish | SteppedOut = SteppedOut(ending=ending, report=report)
        else:
            await self._display.close(LessonOutcome(ending=ending, report=report))
            turns = last_sentences(self._session, MAX_TURNS)
            last = Finish(ending=ending, report=report, turns=turns)
        await deliver(self._link, self._telemetry, last)

    async def report_connection_lost(self) -> None:
        """Notify the host that the lesson is left to another job."""
        log.error("lesson.connection_lost")
        with contextlib.suppress(LinkError):
            await self._link.send(ConnectionLost())

"""One lesson in its job process: hooks, voice session, ticks, and one finish."""

import asyncio
import contextlib

import structlog
from livekit import rtc
from livekit.agents import Agent, CloseEvent, JobContext, room_io
from pydantic import ValidationError

from loqua_host.contract.learner import Learner
from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Ending, LessonReport
from loqua_host.contract.sentences import sentence_in
from loqua_host.errors import HookFailedError, LinkError
from loqua_host.events import LearnerLeft, LearnerReturned
from loqua_host.link.client import HostLink
from loqua_host.link.messages import (
    LONGEST_LATE,
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
from loqua_host.registry.caller import HookCaller
from loqua_host.tasks import uncancelled

from .chat import Chat
from .checkpoints import Checkpoints
from .clock import Stopwatch
from .connection import Connection
from .conversation import answer_typed, recall, well_formed
from .ears import Ears
from .events import EventRelay
from .failures import Failures, FailureWatch
from .floor import Floor, until_free
from .greeting import Greeting
from .handoff import Handoffs
from .latency import measured
from .limits import Deadline, Silence, keep_limits
from .microphone import Microphone
from .nodes import Agents
from .notes import Notes
from .own_voice import OwnVoice
from .presence import Presence
from .settings import JobSettings
from .speakers import Speakers
from .ticker import tick
from .transcripts import Transcripts
from .vitals import Part, Vitals
from .voice import (
    apologise,
    close_voice,
    commit_turn,
    hear_out,
    say_out,
    switch,
    take_last_words,
)

__all__ = ["Runner"]

log = structlog.get_logger()

HOST_LOST = "host_lost"
JOB_FAILED = "job_failed"
CONNECTION_LOST = "connection_lost"
AGENT_FAILED = "agent_failed"
VOICE_CLOSED = "voice_closed"
VOICE_FAILED = "voice_failed"
VOICE_LOST = "voice_lost"
LEARNER_LEFT = "learner_left"
PLACE_NEEDED = "place_needed"
ANNOUNCED_SECONDS = 10.0
"""How long a specialist waits for the floor; who does not let go is talked over."""

RECORDED_SECONDS = 10.0


class Runner:
    """Runs one lesson from the host's welcome to the record in the ledger."""

    def __init__(
        self,
        ctx: JobContext,
        link: HostLink,
        lesson: Lesson,
        hooks: HookCaller,
        settings: JobSettings,
        clock: Stopwatch,
        welcome: Welcome,
        notes: Notes,
    ) -> None:
        self._ctx = ctx
        self._link = link
        self._lesson = lesson
        self._hooks = hooks
        self._settings = settings
        self._clock = clock
        self._welcome = welcome
        self._notes = notes
        self._session = lesson.session
        self._started = False
        self._giving_up = asyncio.Event()
        self._failures = Failures(
            self._session,
            hooks.source,
            settings.lesson.failing_ticks,
            count=lambda: notes.tell(CallbackFailed()),
            apologise=self._apologise,
            give_up=self._giving_up.set,
        )
        self._floor = Floor(ctx.room, self._on_floor, held=settings.automatic)
        self._events = EventRelay(ctx.room, lesson, hooks)
        self._silence = Silence(self._session, asyncio.get_running_loop().time)
        self._deadline = Deadline(asyncio.get_running_loop().time)
        announcement = settings.sentences.specialist_comes
        self._handoffs = Handoffs(lesson, link, self._floor, announcement)
        self._checkpoints = Checkpoints(lesson, link, clock)
        ears = self._ears = Ears(ctx.room) if settings.audio_input == "all" else None
        self._microphone = Microphone(ctx.room, lesson)
        self._speakers = Speakers(lesson, ears.levels if ears else None)
        self._vitals = Vitals(
            self._session,
            asyncio.get_running_loop().time,
            self._on_stuck,
            lambda seconds: notes.tell(Late(seconds=min(seconds, LONGEST_LATE))),
        )
        self._greeting = Greeting(self._session)
        own_voice = OwnVoice(self._session)
        self._transcripts = Transcripts(ctx.room, lesson, ears.track_of) if ears else None
        self._entries: dict[str, str] = {}
        self._strangers = asyncio.Queue[str]()
        self._presence = Presence(
            ctx.room,
            lesson.learner.identity,
            settings.lesson.reconnect_timeout,
            on_change=self._on_presence,
            ask=self._strangers.put_nowait,
            give_up=self._on_absence,
        )
        self._connection = Connection(
            ctx.room,
            on_change=self._on_connection,
            on_end=self._on_room_closed,
            on_loss=lambda: lesson.end(CONNECTION_LOST),
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
            own_voice,
            Agents(
                self._session,
                (self._speakers.meet, self._vitals.meet, self._greeting.meet, own_voice.meet),
            ),
            self._microphone,
            Chat(ctx.room, self._listened_to, self._on_typed),
        )

    async def run(self) -> None:
        """Teach until somebody ends the lesson, then finish it, whatever happened."""
        with FailureWatch(self._hooks.author, self._failures.on_failure).watching():
            await self._run()

    async def _run(self) -> None:
        lesson, settings, put = self._lesson, self._settings, self._events.put
        reason = JOB_FAILED
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._teach()),
                    tasks.create_task(self._follow_host()),
                    tasks.create_task(self._notes.send()),
                    tasks.create_task(self._ask_host()),
                    tasks.create_task(self._events.run()),
                    tasks.create_task(
                        keep_limits(
                            lesson, settings, self._silence, self._clock, self._deadline, put
                        )
                    ),
                    tasks.create_task(self._checkpoints.run()),
                    tasks.create_task(self._handoffs.run()),
                    tasks.create_task(self._floor.show()),
                    tasks.create_task(self._give_up()),
                    tasks.create_task(self._vitals.run()),
                ]
                if self._transcripts is not None:
                    running.append(tasks.create_task(self._transcripts.run()))
                self._watch()
                with measured(self._session, self._notes.tell):
                    reason = await self._lesson.ended()
                for task in running:
                    task.cancel()
        except asyncio.CancelledError:
            # LiveKit cancels a job whose host died, and one that it takes to have left the room
            # (livekit/livekit#4887): no ghost stays until all below is over.
            await self._ctx.room.disconnect()
            reason = CONNECTION_LOST if reason == JOB_FAILED else reason
            raise
        finally:
            # Nor may it be cancelled midway for being slow: then there would be no record.
            await uncancelled(self._finish(reason))

    def _watch(self) -> None:
        self._ctx.room.on("participant_attributes_changed", self._on_attributes)
        self._ctx.room.on("participant_connected", self._listen)
        for one in self._watchers:
            one.watch()

    def _unwatch(self) -> None:
        self._ctx.room.off("participant_attributes_changed", self._on_attributes)
        self._ctx.room.off("participant_connected", self._listen)
        self._floor.unwatch()
        for one in self._watchers:
            one.unwatch()

    async def _teach(self) -> None:
        lesson = self._lesson
        try:
            lesson.agent = await self._hooks.create_agent(lesson)
            await self._start(lesson.agent)
            await self._have_floor()
            await self._hooks.on_user_ready(lesson)
            self._greeting.end()
        except HookFailedError as failure:
            if lesson.agent is None:
                await self._start(Agent(instructions=""))
            await say_out(self._session, self._welcome.apology)
            lesson.end(f"{failure.hook}_failed")
            return
        await tick(
            lesson,
            self._hooks,
            self._checkpoints,
            self._clock,
            every=self._settings.lesson.tick_every,
            give_up_after=self._settings.lesson.failing_ticks,
        )

    def _apologise(self) -> None:
        """Ask the learner to say it again, if they could hear that and the tutor goes on."""
        if self._floor.held and self._presence.here:
            sentence = sentence_in(self._lesson.language, self._settings.sentences.went_wrong)
            apologise(self._session, sentence)

    async def _give_up(self) -> None:
        """End the lesson politely once the tutor's agent has failed too often."""
        await self._giving_up.wait()
        await say_out(self._session, self._welcome.apology)
        self._lesson.end(AGENT_FAILED)

    async def _have_floor(self) -> None:
        """Wait until nobody else speaks.

        A tutor restored during a specialist's lesson greets after it, and a specialist once it
        has been announced.
        """
        if self._settings.automatic:
            self._floor.watch()
            await self._floor.free()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCED_SECONDS):
                    await until_free(self._ctx.room)
            self._floor.take()
            self._on_air(gained=True)

    async def _start(self, agent: Agent) -> None:
        self._session.on("close", self._on_close)
        if self._lesson.turns:
            await recall(self._session, agent, self._lesson.turns)
        if self._ears is not None:
            self._session.input.audio = self._ears
            self._listen()
        await self._session.start(
            agent,
            room=self._ctx.room,
            # No one in the room may drive the session, and nothing is recorded.
            session_host=False,
            record=False,
            room_options=room_io.RoomOptions(
                participant_identity=self._lesson.learner.identity,
                close_on_disconnect=False,
                audio_input=self._ears is None,
                text_input=False,
            ),
        )
        self._microphone.take_over(self._session.room_io)
        if self._transcripts is not None:
            self._transcripts.take_over(self._session)
        self._started = True
        if not self._presence.here:
            switch(self._session, on=False)
        self._set_clock()

    async def _on_typed(self, learner: Learner, text: str) -> None:
        if self._started and self._floor.held and self._presence.here:
            self._silence.end()
            self._failures.begin_turn()
            await self._session.interrupt()
            await answer_typed(self._session, learner, text)

    def _listened_to(self) -> dict[str, Learner]:
        others = self._lesson.others if self._settings.audio_input == "all" else ()
        known = [one for one in others if self._is_known(one.identity)]
        return {one.identity: one for one in (*known, self._lesson.learner)}

    def _is_known(self, identity: str) -> bool:
        """Return whether nobody came by an identity since the host looked at who has it.

        What somebody types may overtake the news that they are there.
        """
        there = self._ctx.room.remote_participants.get(identity)
        return there is None or there.sid == self._entries.get(identity)

    def _listen(self, *_: object) -> None:
        if self._ears is not None:
            heard = self._listened_to()
            self._ears.hear(heard)
            self._speakers.hear(heard.values())

    def _on_close(self, event: CloseEvent) -> None:
        """Take a voice that was closed by the tutor for its will, and one that failed for lost."""
        if event.error is None:
            self._lesson.end(VOICE_CLOSED)
        else:
            log.error("lesson.voice_failed", error=type(event.error).__name__)
            self._on_voice_lost()

    def _on_stuck(self, part: Part) -> None:
        log.error("lesson.voice_stuck", part=part)
        self._on_voice_lost()

    def _on_voice_lost(self) -> None:
        """Leave the lesson to another job, unless that would be one too many."""
        self._lesson.end(VOICE_FAILED if self._welcome.last_try else VOICE_LOST)

    def _on_floor(self, held: bool) -> None:
        log.info("lesson.floor_taken_back" if held else "lesson.floor_given_away")
        self._on_air(gained=held)

    def _set_clock(self) -> None:
        """Count the time in which the learner is here and this tutor has the floor."""
        here = self._presence.here and self._connection.whole
        taught = self._started and self._floor.held and here
        (self._clock.run if taught else self._clock.pause)()
        self._silence.listen(taught)

    async def _ask_host(self) -> None:
        """Ask the host about each who comes while the learner is away."""
        while True:
            stranger = await self._strangers.get()
            with contextlib.suppress(LinkError):  # for the link's reader to notice
                await self._link.send(Join(identity=stranger))

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        """Have the host see for itself whether the learner has become another."""
        if "user_id" in changed and participant.identity == self._lesson.learner.identity:
            self._strangers.put_nowait(participant.identity)

    def _on_connection(self, whole: bool) -> None:
        """Have presence and token checked again once the connection is mended."""
        log.warning("lesson.reconnected" if whole else "lesson.reconnecting")
        if whole:
            self._presence.look()
            self._strangers.put_nowait(self._lesson.learner.identity)
        self._set_clock()

    def _on_room_closed(self) -> None:
        self._lesson.end("room_closed" if self._presence.here else LEARNER_LEFT)

    def _on_absence(self) -> None:
        """Have the learner gone, if that can be known: without a connection nobody is here."""
        self._lesson.end(LEARNER_LEFT if self._connection.whole else CONNECTION_LOST)

    def _on_presence(self, here: bool) -> None:
        """Fall silent while nobody listens, and speak again to who has come back."""
        log.info("lesson.learner_back" if here else "lesson.learner_away")
        self._events.put(LearnerReturned() if here else LearnerLeft())
        self._on_air(gained=here)

    def _on_air(self, *, gained: bool) -> None:
        """Fall silent without floor or learner, and speak again with both."""
        if not gained:
            self._fall_silent()
        # Another may come by the learner's identity: nobody is heard before the host has looked.
        switch(self._session, on=self._presence.here and self._floor.held)
        if not gained:
            commit_turn(self._session)
        self._set_clock()

    def _fall_silent(self) -> None:
        with contextlib.suppress(RuntimeError):  # a session that has not started yet
            self._session.interrupt(force=True)

    def _rebind(self, learner: Learner) -> None:
        """Go on with a learner who has come back, and listen to the identity they have now."""
        if self._started and learner.identity != self._lesson.learner.identity:
            self._session.room_io.set_participant(learner.identity)
        self._lesson.learner = learner
        self._microphone.look()
        self._listen()
        self._presence.confirm(learner.identity)

    async def _follow_host(self) -> None:
        while (message := await self._link.receive()) is not None:
            match message:
                case WrapUp() | StepOut():
                    self._end_as_told(message)
                case ModeChanged(mode=mode):
                    self._lesson.mode = mode
                case ContextLoaded(context=context):
                    self._lesson.context = context
                case ProgressRefused(why=why):
                    log.warning("lesson.progress_refused", tutor=self._settings.tutor, why=why)
                case Others():
                    self._set_others(message)
                case Returned(learner=learner):
                    self._rebind(learner)
                case HandedBack() | HandoffRefused():
                    self._handoffs.on_answer(message)
                case Welcome() | Refused() | Recorded():
                    log.warning("link.unexpected", kind=message.type)
        self._lesson.end(HOST_LOST)

    def _set_others(self, told: Others) -> None:
        self._lesson.others = told.others
        self._entries = {
            one.identity: sid for one, sid in zip(told.others, told.entries, strict=True)
        }
        self._listen()

    def _end_as_told(self, message: WrapUp | StepOut) -> None:
        """End the lesson within so many seconds, at once without any; or leave it to a later job.

        The latter only while the learner is away, and not just coming back.
        """
        if isinstance(message, StepOut):
            if not (self._presence.here or self._presence.may_be_back):
                self._lesson.end(PLACE_NEEDED)
        elif message.seconds:
            log.info("lesson.ends_within", seconds=round(message.seconds), why=message.reason)
            self._deadline.set(message.seconds, message.reason)
        else:
            self._lesson.end(message.reason)

    async def _finish(self, reason: str) -> None:
        if reason == HOST_LOST:
            # LiveKit's own shutdown tells its dead parent first, fails, and would leave a ghost.
            await self._ctx.room.disconnect()
        self._clock.pause()
        self._unwatch()
        if reason in {CONNECTION_LOST, VOICE_LOST}:
            await self._leave_to_next_job(reason)
            return
        if self._lesson.learner.identity in self._ctx.room.remote_participants:
            await hear_out(self._session)
        await take_last_words(self._session)
        if not await close_voice(self._session, self._ears):
            log.error("lesson.voice_not_closed", tutor=self._settings.tutor)
            # LiveKit would wait for it once more, for a minute, with the tutor in the room.
            self._ctx._primary_agent_session = None  # noqa: SLF001  # no public way
        steps_out = reason == PLACE_NEEDED
        reason = LEARNER_LEFT if steps_out else reason
        ending = Ending(reason=well_formed(str(reason)), seconds=self._clock.seconds)
        try:
            if steps_out:
                await self._checkpoints.send()
            report = await self._report(ending)
            await self._notes.flush()
            last = SteppedOut if steps_out else Finish
            await self._link.send(last(ending=ending, report=report))
            async with asyncio.timeout(RECORDED_SECONDS):
                await self._recorded()
        except (LinkError, TimeoutError) as error:
            log.warning("lesson.unacknowledged", why=str(error) or "no answer in time")
        else:
            log.info(
                "lesson.finished", reason=ending.reason_shown, seconds=round(ending.seconds, 1)
            )

    async def _leave_to_next_job(self, reason: str) -> None:
        """Have the host call another job, which goes on with what was said until now.

        Who leaves without a word has crashed, to the host.
        """
        self._fall_silent()  # a voice that is stuck would be waited for
        await take_last_words(self._session)
        await self._checkpoints.send()
        if reason == CONNECTION_LOST:
            log.error("lesson.connection_lost")
            with contextlib.suppress(LinkError):
                await self._link.send(ConnectionLost())
        else:
            await self._ctx.room.disconnect()  # no ghost that neither hears nor speaks

    async def _recorded(self) -> None:
        while (message := await self._link.receive()) is not None:
            if isinstance(message, Recorded):
                return
        raise LinkError("the host is gone")

    async def _report(self, ending: Ending) -> LessonReport | None:
        try:
            report = await self._hooks.on_session_end(self._lesson, ending)
            return report and LessonReport.model_validate(report)
        except HookFailedError:
            return None
        except ValidationError as error:
            log.error("lesson.report_refused", why=reasons_of(error))
            return None

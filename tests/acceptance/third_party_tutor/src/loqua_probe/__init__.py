"""A tutor that needs no voice and follows a test's script for each room."""

import asyncio
import contextlib
import os
import signal
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Never

from livekit.agents import Agent, get_job_context, llm
from livekit.rtc import SimulateScenarioKind
from pydantic import BaseModel, ConfigDict

from loqua_host import Ending, HandoffError, Lesson, LessonReport, Progress, Turns, Tutor, hookimpl
from loqua_host.events import TimeRunningOut

from .hostile import attack
from .misbehaviour import MISBEHAVIOUR, attempt
from .script import ProbeScript
from .secret_search import collect

__all__ = ["automatic", "specialist", "trusted"]

BLOCKED_SECONDS = 1e6
HOARD: list[bytes] = []
HOARDED_AT_ONCE = 50_000_000


class ProbeSettings(BaseModel):
    """The section `settings:` of this tutor's file.

    Attributes:
        directory: Where a room's script is read and what the tutor found is written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path


class Notes(BaseModel):
    """The lesson's state: the ticks so far."""

    ticks: int = 0


class Probe:
    """The plugin: an automatic tutor, or a specialist with an agent name; with secrets or not."""

    def __init__(self, name: str, agent_name: str | None, secrets: tuple[str, ...] = ()) -> None:
        self._tutor = Tutor(
            name=name, agent_name=agent_name, settings=ProbeSettings, secrets=secrets
        )

    @hookimpl
    def register_tutor(self) -> Tutor[ProbeSettings]:
        """Declare the tutor."""
        return self._tutor

    @hookimpl
    async def create_agent(self, lesson: Lesson[ProbeSettings]) -> Agent:
        """Return an agent that says nothing, having looked for secrets if that is its script."""
        script = self._script(lesson)
        lesson.log.info("probe.create_agent", room=lesson.room, mode=lesson.mode.value)
        if script.search:
            await asyncio.to_thread(collect, lesson, lesson.settings.directory, script.search)
            lesson.log.info("probe.searched", room=lesson.room)
        wrong: Any = await _misbehave(script.create_agent)
        return wrong if script.create_agent else SpecialistCaller(lesson, script)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson[ProbeSettings]) -> None:
        """Note that the lesson has begun; crash or attack if that is the script."""
        script = self._script(lesson)
        words = lesson.context.progress.words_learned
        granted = {name: sha256(it.encode()).hexdigest() for name, it in lesson.secrets.items()}
        back = lesson.handback and lesson.handback.outcome
        lesson.log.info(
            "probe.ready", room=lesson.room, words_before=words, granted=granted, handback=back
        )

        async def note(event: TimeRunningOut) -> None:
            lesson.log.info("probe.time_running_out", room=lesson.room, seconds=event.seconds)

        lesson.on(TimeRunningOut, note)
        if handover := lesson.handover:
            lesson.log.info("probe.handed_over", room=lesson.room, **handover.model_dump())
        if script.calls and not lesson.resumed:
            lesson.get_agent(SpecialistCaller).call()
        await _misbehave(script.on_user_ready)
        if script.attack and not lesson.resumed:
            lesson.log.info("probe.attacks", room=lesson.room)
            answers = await attack(script.attack, lesson, lesson.settings.directory)
            lesson.log.info("probe.attacked", room=lesson.room, answers=answers)
        if given := script.attempts:
            came = attempt(given.host, given.ledger, given.ports)
            lesson.log.info("probe.attempted", room=lesson.room, outcomes=came)
        if script.misbehaviour and not lesson.resumed:
            lesson.log.info(
                "probe.misbehaviour", room=lesson.room, misbehaviour=script.misbehaviour
            )
            await MISBEHAVIOUR[script.misbehaviour](lesson)

    @hookimpl
    async def on_progress_tick(self, lesson: Lesson[ProbeSettings]) -> Progress | None:
        """Count a word each tick, or say what the script says; a resumed lesson counts on."""
        script = self._script(lesson)
        number = Notes.model_validate(lesson.state).ticks + 1
        lesson.log.info(
            "probe.tick",
            room=lesson.room,
            number=number,
            mode=lesson.mode.value,
            others=len(lesson.others),
        )
        if script.beats:
            await get_job_context().room.local_participant.publish_data(b"", topic="beat")
        killed = script.killed_at is not None and number >= script.killed_at
        if killed and (script.killed_again or not lesson.resumed):
            os.kill(os.getpid(), signal.SIGKILL)
        if script.blocked_at == number and not lesson.resumed:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as code in C does while it runs
            time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251  # the mistake to be seen
        if len(HOARD) * HOARDED_AT_ONCE < script.hoards:
            HOARD.append(b"x" * HOARDED_AT_ONCE)
        lesson.state["ticks"] = number
        if script.reconnects_at == number:
            room = get_job_context().room
            await room.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        if script.ends_at is not None and number >= script.ends_at:
            lesson.end("probe_done")
        if script.on_progress_tick:
            wrong: Any = await _misbehave(script.on_progress_tick)
            return wrong  # type: ignore[no-any-return]  # what the host is to refuse
        return script.progress_at(number)

    @hookimpl
    async def on_session_end(
        self, lesson: Lesson[ProbeSettings], ending: Ending
    ) -> LessonReport | None:
        """Report what the script says."""
        script = self._script(lesson)
        lesson.log.info("probe.end", room=lesson.room, reason=ending.reason)
        if script.on_session_end:
            wrong: Any = await _misbehave(script.on_session_end)
            return wrong  # type: ignore[no-any-return]  # likewise
        return script.report

    def _script(self, lesson: Lesson[ProbeSettings]) -> ProbeScript:
        return ProbeScript.read(
            lesson.settings.directory / f"{lesson.room}.{self._tutor.name}.json"
        )


automatic = Probe("probe", None)
specialist = Probe("probe-specialist", "probe-specialist")
trusted = Probe("probe-trusted", "probe-trusted", secrets=("PROBE_KEY",))


class SpecialistCaller(Agent):
    """An agent that says nothing, and calls a specialist if the script says so."""

    def __init__(self, lesson: Lesson[ProbeSettings], script: ProbeScript) -> None:
        super().__init__(instructions="")
        self._lesson = lesson
        self._agent_name = script.calls or ""
        self._turn = script.on_user_turn_completed
        self._clings = script.clings
        self._calling: asyncio.Task[None] | None = None
        self._turns = Turns[None]()

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Note what the learner said."""
        turn = self._turns.add(new_message, None)
        self._lesson.log.info(
            "probe.heard",
            room=self._lesson.room,
            text=turn.text,
            typed=turn.typed,
            learner=turn.learner and turn.learner.user_id,
        )
        await _misbehave(self._turn)

    async def on_exit(self) -> None:
        """Block the end of the session if the script says so."""
        while self._clings:
            with contextlib.suppress(asyncio.CancelledError):
                await _hang()

    def call(self) -> None:
        """Begin to call."""
        self._calling = asyncio.create_task(self._call())

    async def _call(self) -> None:
        log, room = self._lesson.log, self._lesson.room
        try:
            back = await self._lesson.call_specialist(self._agent_name, focus="r", words=["perro"])
        except HandoffError as error:
            log.info("probe.not_handed_over", room=room, why=str(error))
            return
        words = back.report and back.report.progress and back.report.progress.words_learned
        log.info("probe.handed_back", room=room, outcome=back.outcome, words=words)


class ProbeError(Exception):
    """The exception of a misbehaving hook."""


async def _misbehave(how: str | None) -> object:
    if how == "raise":
        raise ProbeError("as the script says")
    if how == "hang":
        await _hang()
    if how == "block":
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251  # the mistake to be seen
    return 42


async def _hang() -> Never:
    while True:
        await asyncio.Event().wait()

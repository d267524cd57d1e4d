"""The course of a lesson by script: each step in virtual time."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, Final

from livekit.agents.llm import LLM, RealtimeModel

from loqua_host.contract.learner import LearnerContext
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.link.dispatch_metadata import find_handover, pack
from loqua_host.registry.loader import LoadedTutor
from loqua_host.settings.host import HostSettings
from loqua_host.settings.lessons import LessonLimits
from loqua_host.settings.messages import Messages

from .meaning import Claim
from .realtime import ScriptedRealtime
from .script import LessonScript
from .scripted_host import ScriptedHost
from .scripted_job import ScriptedJob
from .steps import (
    FailApi,
    Joins,
    KillJob,
    Leaves,
    LessonStep,
    RestartHost,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
)
from .tutors import running_tutor
from .voice import ScriptedLLM, TextSession

__all__ = ["ANSWER_SECONDS", "START_SECONDS", "LessonFailedError", "LessonPlayer"]

ANSWER_SECONDS: Final = 2.0
"""Virtual seconds that a learner gives the tutor for an answer."""

START_SECONDS: Final = 5.0
"""Virtual seconds for the tutor to join and greet, or to join again."""

REJOIN_SECONDS: Final = 30.0
"""Virtual seconds for a host that serves again to restore the lesson, once a lease has expired."""

CALL_SECONDS: Final = 30.0
"""Virtual seconds for a call of a specialist to arrive."""

END_SECONDS: Final = 7200.0
"""Virtual seconds for a lesson to end, and for its record to arrive."""

SETTINGS: Final = {
    "agent_id": "loqua-host",
    "livekit": {"url": "ws://livekit"},
    "api": {"api_base_url": "http://api"},
    "environment": "development",
    "tutors": (),
}


class LessonFailedError(AssertionError):
    """A lesson did not go as its script expects; the message shows the lesson up to there."""


class LessonPlayer:
    """Play one lesson.

    Args:
        script: The script.
        loaded: Its tutor.
        model: The language model instead of the script's replies.
        limits: The limits of the lesson instead of a host's defaults.

    Attributes:
        host: The host that teaches it.
        claims: What is to be judged by its meaning.
    """

    def __init__(
        self,
        script: LessonScript,
        loaded: LoadedTutor,
        model: "LLM[Any] | RealtimeModel | None" = None,
        limits: LessonLimits | None = None,
    ) -> None:
        self._script = script
        limits = limits or LessonLimits(reconnect_timeout=script.reconnect_timeout)
        self._tutor = _running(script, loaded, limits)
        calls = [one for one in script.steps if isinstance(one, TutorCalls)]
        settings = HostSettings.model_validate(
            SETTINGS | {"lessons": {"reconnect_timeout": script.reconnect_timeout}}
        )
        build = partial(TextSession, model or _model_of(script))
        self.host = ScriptedHost(loaded, self._tutor, calls, build, settings)
        self.host.api.register(script.user_id, script.context)
        self._checked = 0
        self.claims: list[Claim] = []
        self._calls = 0

    async def play(self) -> None:
        """Play it from the learner's entry to the record.

        Raises:
            LessonFailedError: If a step is not possible, or the tutor does not do what it must.
        """
        failed: LessonFailedError | None = None
        async with self.host.running():
            try:  # not raised through a task group, which would wrap it
                await self._play()
            except LessonFailedError as error:
                failed = error
        if failed is not None:
            raise failed

    async def _play(self) -> None:
        script, host = self._script, self.host
        steps = list(enumerate(script.steps, 1))
        while steps and isinstance(steps[0][1], FailApi):
            await self.take(steps.pop(0)[1])
        await self.begin()
        await asyncio.sleep(START_SECONDS)
        for number, step in steps:
            if script.until_end and host.job is None:
                break
            try:
                await self.take(step)
            except LessonFailedError as error:
                raise LessonFailedError(f"step {number}, {step}: {error}") from None
        await self.end()

    async def begin(self) -> None:
        """Enter the room as the learner, and wait for the tutor."""
        script = self._script
        metadata = pack(script.handover, script.user_id) if script.handover else ""
        await self.host.open_room(script.user_id, metadata)

    async def end(self) -> None:
        """Remove all learners, and wait until the API has the lesson's record.

        Raises:
            LessonFailedError: If the lesson does not end.
        """
        for learner in self.host.visits:
            self.host.leave(learner)
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.host.delivered()
        except TimeoutError:
            raise LessonFailedError("the lesson does not end") from None

    async def take(self, step: LessonStep) -> None:
        """Take one step.

        Raises:
            LessonFailedError: If it is not possible, or the tutor does not do what it must.
        """
        host = self.host
        match step:
            case Says() | Types():
                await self._speak(step)
            case StaysSilent(seconds=seconds):
                await asyncio.sleep(seconds)
            case Joins() | Leaves() | Returns():
                await self._move(step)
            case KillJob():
                await self._job().kill()
                await asyncio.sleep(START_SECONDS)
            case RestartHost():
                await host.restart()
                await asyncio.sleep(REJOIN_SECONDS)
            case FailApi(status=status, seconds=seconds):
                host.api.fail(status, seconds)
            case TutorSays():
                self._check(step)
            case TutorCalls():
                await self._await_call(step)

    async def _move(self, step: Joins | Leaves | Returns) -> None:
        """Add a learner to the room, or remove one."""
        match step:
            case Joins(learner=learner, display_name=name):
                self.host.api.register(learner, LearnerContext())
                self.host.enter(learner, name)
            case Leaves(learner=learner):
                self.host.leave(self._known(learner))
            case Returns(learner=learner):
                self.host.enter(self._known(learner))
        await asyncio.sleep(ANSWER_SECONDS if isinstance(step, Leaves) else START_SECONDS)

    async def _speak(self, step: Says | Types) -> None:
        """Speak or type as the learner, and wait for the answer."""
        job, learner = self._job(), self._known(step.learner)
        self.host.note("learner", step.text, learner)
        if isinstance(step, Types):
            await job.ctx.room.write(learner, step.text)
        elif job.hears(learner):
            job.session.push_transcript(step.text, learner)
        await asyncio.sleep(ANSWER_SECONDS)

    def _known(self, learner: str) -> str:
        """Return the learner of a step: without a name, the script's own."""
        if learner and learner not in self.host.visits:
            raise LessonFailedError(f"{learner} has not entered; write `joins: {learner}` before")
        return learner or self._script.user_id

    def _job(self) -> ScriptedJob:
        if self.host.job is None:
            raise LessonFailedError("the tutor has left, and nobody hears it")
        return self.host.job

    def _check(self, expected: TutorSays) -> None:
        said = self.host.said[self._checked :]
        if expected.means:
            self._checked += len(said)
            text = " ".join(one.text for one in said if one.speaker == "tutor")
            self.claims.append((text, expected.means))
            return
        for number, one in enumerate(said, self._checked + 1):
            if one.speaker == "tutor" and expected.accepts(one.text):
                self._checked = number
                return
        heard = [one.text for one in said if one.speaker == "tutor"]
        raise LessonFailedError(f"the tutor did not say {expected}, but {heard or 'nothing'}")

    async def _await_call(self, expected: TutorCalls) -> None:
        """Wait for the tutor's next call, and until the learner is handed back."""
        waited = 0.0
        while len(self.host.called) == self._calls:
            if waited >= CALL_SECONDS:
                raise LessonFailedError("the tutor called nobody")
            await asyncio.sleep(1)
            waited += 1
        call = self.host.called[self._calls]
        self._calls += 1
        handover = find_handover(call.metadata, self._script.user_id)
        if handover is None:
            raise LessonFailedError("the tutor called for another learner")
        request = {"agent_name": call.agent_name, "focus": handover.focus, "words": handover.words}
        for name, value in request.items():
            if getattr(expected, name) not in (None, value):
                raise LessonFailedError(f"the tutor called with {name} {value!r}")
        await asyncio.sleep(expected.seconds + START_SECONDS + ANSWER_SECONDS)


def _model_of(script: LessonScript) -> "LLM[Any] | RealtimeModel | None":
    if script.realtime:
        return ScriptedRealtime(script.replies)
    return ScriptedLLM(script.replies) if script.replies else None


def _running(script: LessonScript, loaded: LoadedTutor, limits: LessonLimits) -> RunningTutor:
    """Return the tutor as a host runs it, with secrets that are made up."""
    tutor = loaded.tutor
    running = running_tutor(
        tutor.name,
        tutor.agent_name or "",
        "loqua-tutor",
        secrets={name: f"secret of {name}" for name in tutor.secrets},
        language=script.language,
    )
    file = running.job.tutor.model_copy(
        update={
            "plugin": script.tutor or None,
            "agent": script.agent,
            "settings": script.settings,
            "audio_input": script.audio_input,
            "secrets": tutor.secrets,
        }
    )
    job = replace(running.job, tutor=file, lesson=limits, messages=Messages())
    return replace(running, job=job)

"""Lessons by script, on virtual time: `play_lesson` and its result."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from pydantic import BaseModel
from structlog.testing import capture_logs

from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import LessonReport, Progress, SessionRecord
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.link.dispatch_metadata import find_handover, pack
from loqua_host.link.messages import (
    Checkpoint,
    Finish,
    FromJob,
    HookTimed,
    SteppedOut,
)
from loqua_host.registry.loader import LoadedTutor, load_plugin
from loqua_host.settings.host import HostSettings
from loqua_host.settings.lessons import LessonLimits
from loqua_host.settings.messages import Messages

from .host import VISIT, ScriptedHost
from .job import ScriptedJob
from .script import LessonScript
from .steps import (
    FailApi,
    KillJob,
    Leaves,
    LessonStep,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
)
from .tutors import running_tutor
from .virtual_time import VirtualLoop

__all__ = ["LessonFailedError", "LessonResult", "play_lesson"]

ANSWER_SECONDS: Final = 2.0
"""Virtual seconds that a learner gives the tutor for an answer."""

START_SECONDS: Final = 5.0
"""Virtual seconds for the tutor to join and greet, or to join again."""

CALL_SECONDS: Final = 30.0
"""Virtual seconds for a call of a specialist to arrive."""

END_SECONDS: Final = 7200.0
"""Virtual seconds for a lesson to end, and for its record to arrive."""

FAULTS: Final = {
    "hook.failed": "hook",
    "agent.failed": "callback",
    "lesson.report_refused": "event",
    "progress.refused": "event",
    "lesson.progress_refused": "event",
    "lesson.state_refused": "event",
    "job.hung": "hook",
}
"""Log events that name a tutor's fault, and their field with its place."""

SETTINGS: Final = {
    "agent_id": "loqua-host",
    "livekit": {"url": "ws://livekit"},
    "api": {"api_base_url": "http://api"},
    "environment": "development",
    "tutors": (),
}


class LessonFailedError(AssertionError):
    """A lesson did not go as its script expects; the message shows the lesson up to there."""


@dataclass(frozen=True, slots=True)
class LessonResult:
    """What came of a lesson.

    Attributes:
        said: What learner and tutor said, in order.
        hooks: The hooks that were called, in order.
        hook_seconds: The real seconds of the slowest call of each hook.
        ticks: The progress of each tick that had any.
        reason: Why the lesson ended; empty if its tutor never said so.
        report: The tutor's report; None if it had none.
        record: The record that the API got.
        calls: The successful calls to the API, in order.
        failures: What failed in the tutor's code, each as one line.
        log: The log events, as structlog's fields.
    """

    said: tuple[Utterance, ...]
    hooks: tuple[str, ...]
    hook_seconds: Mapping[str, float]
    ticks: tuple[Progress, ...]
    reason: str
    report: LessonReport | None
    record: SessionRecord | None
    calls: tuple[str, ...]
    failures: tuple[str, ...]
    log: tuple[Mapping[str, Any], ...]

    @property
    def progress(self) -> Progress | None:
        """The last progress: the report's, or else the last tick's."""
        final = self.report and self.report.progress
        return final or (self.ticks[-1] if self.ticks else None)

    @property
    def tutor_said(self) -> tuple[str, ...]:
        """What the tutor said, in order."""
        return tuple(one.text for one in self.said if one.speaker == "tutor")


def play_lesson(script: LessonScript) -> LessonResult:
    """Play a lesson, and check all that its script expects.

    The host's own code runs: job, hooks, ticks, lessons, reconciler, ledger and delivery. LiveKit's
    server, the Loqua API and sound are replaced, and time is virtual.

    Args:
        script: The script.

    Raises:
        LessonFailedError: If anything is not as expected, a failure of the tutor's code included.
        BrokenTutorError: If the plugin violates the contract.
        ValidationError: If the script's settings do not fit the tutor's model.
    """
    loaded = load_plugin(plugin=script.tutor or None, agent=script.agent)
    loaded.read_settings(script.settings)
    with capture_logs() as log, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        structlog.contextvars.clear_contextvars()
        lesson = _Lesson(script, loaded)
        try:
            runner.run(lesson.play())
        except LessonFailedError as failed:
            raise LessonFailedError(f"{failed}\n{_told(lesson.host.said, log)}") from _cause(log)
    result = _result(lesson.host, log)
    if problems := list(_problems(script, result)):
        told = "\n".join((*problems, _told(lesson.host.said, log)))
        raise LessonFailedError(told) from _cause(log)
    return result


class _Lesson:
    """A lesson that is played."""

    def __init__(self, script: LessonScript, loaded: LoadedTutor) -> None:
        self._script = script
        self._tutor = _running(script, loaded)
        calls = [one for one in script.steps if isinstance(one, TutorCalls)]
        settings = HostSettings.model_validate(
            SETTINGS | {"lessons": {"reconnect_timeout": script.reconnect_timeout}}
        )
        self.host = ScriptedHost(loaded, self._tutor, calls, script.replies, settings)
        self.host.api.remembers = script.context
        self._checked = 0
        self._calls = 0

    async def play(self) -> None:
        """Play it from the learner's entry to the record."""
        failed: LessonFailedError | None = None
        async with self.host.running():
            try:  # a task group would wrap it
                await self._play()
            except LessonFailedError as error:
                failed = error
        if failed is not None:
            raise failed

    async def _play(self) -> None:
        script, host = self._script, self.host
        steps = list(enumerate(script.steps, 1))
        while steps and isinstance(steps[0][1], FailApi):
            await self._take(steps.pop(0)[1])
        metadata = pack(script.handover, script.user_id) if script.handover else ""
        await host.open_room(script.user_id, metadata)
        await asyncio.sleep(START_SECONDS)
        for number, step in steps:
            if script.until_end and host.job is None:
                break
            try:
                await self._take(step)
            except LessonFailedError as error:
                raise LessonFailedError(f"step {number}, {step}: {error}") from None
        host.leave()
        await self._end()

    async def _end(self) -> None:
        """Wait until the lesson has ended, and the API has its record."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.host.delivered()
        except TimeoutError:
            raise LessonFailedError("the lesson does not end") from None

    async def _take(self, step: LessonStep) -> None:
        """Take one step."""
        host = self.host
        match step:
            case Says(text=text):
                job = self._job()
                self._note_learner(text)
                job.session.hear(text)
                await asyncio.sleep(ANSWER_SECONDS)
            case Types(text=text):
                job = self._job()
                self._note_learner(text)
                await job.ctx.room.write(self._script.user_id, text)
                await asyncio.sleep(ANSWER_SECONDS)
            case StaysSilent(seconds=seconds):
                await asyncio.sleep(seconds)
            case Leaves():
                host.leave()
                await asyncio.sleep(ANSWER_SECONDS)
            case Returns():
                host.enter(self._script.user_id)
                await asyncio.sleep(START_SECONDS)
            case KillJob():
                await self._job().kill()
                await asyncio.sleep(START_SECONDS)
            case FailApi(status=status, seconds=seconds):
                host.api.fail(status, seconds)
            case TutorSays():
                self._check(step)
            case TutorCalls():
                await self._await_call(step)

    def _job(self) -> ScriptedJob:
        if self.host.job is None:
            raise LessonFailedError("the tutor has left, and nobody hears it")
        return self.host.job

    def _note_learner(self, text: str) -> None:
        self.host.said.append(Utterance.model_construct(speaker="learner", text=text))

    def _check(self, expected: TutorSays) -> None:
        said = self.host.said[self._checked :]
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
        told = {"agent_name": call.agent_name, "focus": handover.focus, "words": handover.words}
        for name, value in told.items():
            if getattr(expected, name) not in (None, value):
                raise LessonFailedError(f"the tutor called with {name} {value!r}")
        await asyncio.sleep(expected.seconds + START_SECONDS + ANSWER_SECONDS)


def _running(script: LessonScript, loaded: LoadedTutor) -> RunningTutor:
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
            "secrets": tutor.secrets,
        }
    )
    limits = LessonLimits(reconnect_timeout=script.reconnect_timeout)
    job = replace(running.job, tutor=file, lesson=limits, messages=Messages())
    return replace(running, job=job)


def _result(host: ScriptedHost, log: list[Any]) -> LessonResult:
    timed = [one for one in host.sent if isinstance(one, HookTimed)]
    ends = [one for one in host.sent if isinstance(one, Finish | SteppedOut)]
    end = ends[-1] if ends else None
    return LessonResult(
        said=tuple(host.said),
        hooks=tuple(one.hook for one in timed),
        hook_seconds={
            hook: max(one.seconds for one in timed if one.hook == hook)
            for hook in dict.fromkeys(one.hook for one in timed)
        },
        ticks=tuple(_progress(host.sent)),
        reason=end.ending.reason if end else "",
        report=end.report if end else None,
        record=host.api.record_of(VISIT),
        calls=tuple(host.api.calls),
        failures=tuple(_failures(log)),
        log=tuple(log),
    )


def _progress(sent: list[FromJob]) -> Iterator[Progress]:
    for message in sent:
        if isinstance(message, Checkpoint) and message.progress is not None:
            yield message.progress


def _failures(log: list[Any]) -> Iterator[str]:
    for entry in log:
        if (place := FAULTS.get(entry["event"])) is not None:
            at = f" at {entry['at']}" if entry.get("at") else ""
            yield f"{entry.get(place)}: {entry.get('why') or entry.get('hint')}{at}"


def _cause(log: list[Any]) -> BaseException | None:
    """Return the first exception of the tutor's code."""
    raised = (entry.get("exc_info") for entry in log if entry["event"] in FAULTS)
    return next((one for one in raised if isinstance(one, BaseException)), None)


def _problems(script: LessonScript, result: LessonResult) -> Iterator[str]:
    """Yield what is not as the script expects."""
    expect = script.expect
    yield from _unexpected(expect.failures, result.failures)
    for name in ("hooks", "reason", "calls"):
        wanted, found = getattr(expect, name), getattr(result, name)
        if wanted is not None and wanted != found:
            yield f"{name}: expected {_plain(wanted)}, not {_plain(found)}"
    yield from _differences("progress", expect.progress, result.progress)
    yield from _differences("record", expect.record, result.record)


def _unexpected(wanted: tuple[str, ...], found: tuple[str, ...]) -> Iterator[str]:
    for failure in found:
        if not any(one in failure for one in wanted):
            yield f"failed: {failure}"
    for one in wanted:
        if not any(one in failure for failure in found):
            yield f"failures: expected {one!r}, which did not fail"


def _differences(what: str, wanted: dict[str, Any], found: BaseModel | None) -> Iterator[str]:
    if wanted and found is None:
        yield f"{what}: there is none"
        return
    fields = found.model_dump(mode="json") if found else {}
    for name, value in wanted.items():
        if name not in fields:
            yield f"{what}: has no {name!r}; it has {', '.join(fields)}"
        elif fields[name] != _plain(value):
            yield f"{what}.{name}: expected {_plain(value)!r}, not {fields[name]!r}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _told(said: list[Utterance], log: list[Any]) -> str:
    """Return the lesson so far, for the message of a failure."""
    lines = [f"  {one.speaker}: {one.text}" for one in said]
    faults = [f"  {failure}" for failure in _failures(log)]
    return "\n".join(("the lesson so far:", *(lines or ["  nobody spoke"]), *faults))

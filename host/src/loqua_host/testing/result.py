"""The result of a scripted lesson, and its comparison with expectations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from loqua_host.contract.display import ShownValue
from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import LessonReport, Progress, SessionRecord
from loqua_host.link.messages import Checkpoint, Finish, HookTimed, SteppedOut

from .script import LessonExpectations
from .scripted_host import ScriptedHost

__all__ = [
    "LessonResult",
    "find_cause",
    "find_failures",
    "find_problems",
    "render_lesson",
    "result_of",
]

LogEntry = Mapping[str, Any]

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


@dataclass(frozen=True, slots=True)
class LessonResult:
    """The result of a lesson.

    Attributes:
        said: What learner and tutor said, in order.
        shown: What the tutor showed to the learner's page, in order.
        answer_seconds: Virtual seconds from the learner's words to the tutor's answer, in order.
        hooks: The hooks that were called, in order.
        hook_seconds: The real seconds of the slowest call of each hook.
        ticks: The progress of each tick that had any.
        reason: Why the lesson ended; empty if its tutor never said so.
        report: The tutor's report; None if it had none.
        record: The record of the learner that the API got.
        records: The records of all learners, by `user_id`.
        calls: The successful calls to the API, in order.
        failures: What failed in the tutor's code, each as one line.
        log: The log events, as structlog's fields.
        claims: What the tutor said, with what it is expected to mean.
    """

    said: tuple[Utterance, ...]
    shown: tuple[ShownValue, ...]
    answer_seconds: tuple[float, ...]
    hooks: tuple[str, ...]
    hook_seconds: Mapping[str, float]
    ticks: tuple[Progress, ...]
    reason: str
    report: LessonReport | None
    record: SessionRecord | None
    records: Mapping[str, SessionRecord]
    calls: tuple[str, ...]
    failures: tuple[str, ...]
    log: tuple[Mapping[str, Any], ...]
    claims: tuple[tuple[str, str], ...] = ()

    @property
    def progress(self) -> Progress | None:
        """The last progress: the report's, or else the last tick's."""
        final = self.report and self.report.progress
        return final or (self.ticks[-1] if self.ticks else None)

    @property
    def tutor_said(self) -> tuple[str, ...]:
        """The tutor's utterances, in order."""
        return tuple(one.text for one in self.said if one.speaker == "tutor")


def result_of(host: ScriptedHost, log: Sequence[LogEntry]) -> LessonResult:
    """Return the result of the lesson that a host has taught."""
    timed = [one for one in host.sent if isinstance(one, HookTimed)]
    saved = [one for one in host.sent if isinstance(one, Checkpoint)]
    ends = [one for one in host.sent if isinstance(one, Finish | SteppedOut)]
    end = ends[-1] if ends else None
    arrived = host.api.records
    records = {one: arrived[visit] for one, visit in host.visits.items() if visit in arrived}
    return LessonResult(
        said=tuple(host.said),
        shown=tuple(host.shown),
        answer_seconds=tuple(host.answer_seconds),
        hooks=tuple(one.hook for one in timed),
        hook_seconds={
            hook: max(one.seconds for one in timed if one.hook == hook)
            for hook in dict.fromkeys(one.hook for one in timed)
        },
        ticks=tuple(one.progress for one in saved if one.progress is not None),
        reason=end.ending.reason if end else "",
        report=end.report if end else None,
        record=records.get(host.learner),
        records=records,
        calls=host.api.calls,
        failures=tuple(find_failures(log)),
        log=tuple(log),
    )


def find_failures(log: Sequence[LogEntry]) -> Iterator[str]:
    """Yield what failed in the tutor's code, each as one line."""
    for entry in log:
        if (place := FAULTS.get(entry["event"])) is not None:
            at = f" at {entry['at']}" if entry.get("at") else ""
            yield f"{entry.get(place)}: {entry.get('why') or entry.get('hint')}{at}"


def find_cause(log: Sequence[LogEntry]) -> BaseException | None:
    """Return the first exception of the tutor's code."""
    raised = (entry.get("exc_info") for entry in log if entry["event"] in FAULTS)
    return next((one for one in raised if isinstance(one, BaseException)), None)


def find_problems(expect: LessonExpectations, result: LessonResult) -> Iterator[str]:
    """Yield what is not as expected, each as one line."""
    yield from _unexpected(expect.failures, result.failures)
    for name in ("hooks", "reason", "calls"):
        wanted, found = getattr(expect, name), getattr(result, name)
        if wanted is not None and wanted != found:
            yield f"{name}: expected {_plain(wanted)}, not {_plain(found)}"
    slowest = max(result.answer_seconds, default=0.0)
    if expect.answers_within is not None and slowest > expect.answers_within:
        yield f"answers_within: expected {expect.answers_within:g} s, not {slowest:.2f} s"
    yield from _differences("progress", expect.progress, result.progress)
    yield from _differences("record", expect.record, result.record)
    for learner, record in expect.records.items():
        yield from _differences(f"records.{learner}", record, result.records.get(learner))


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


def render_lesson(said: Sequence[Utterance], log: Sequence[LogEntry]) -> str:
    """Return the lesson so far, for the message of a failure."""
    lines = [f"  {one.speaker}: {one.text}" for one in said]
    faults = [f"  {failure}" for failure in find_failures(log)]
    return "\n".join(("the lesson so far:", *(lines or ["  nobody spoke"]), *faults))

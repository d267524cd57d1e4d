"""A captured lesson as a script of the kit."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import Progress
from loqua_host.job.lesson.sequence import Reason
from loqua_host.lessons.capture import REDACTED
from loqua_host.link.messages import (
    CallSpecialist,
    Checkpoint,
    Finish,
    HandedBack,
    Returned,
    Welcome,
)
from loqua_host.records.captures import CapturedJob, CapturedMessage
from loqua_host.settings.tutors import TutorSettings

__all__ = ["replayed"]

SILENT_SECONDS: Final = 30.0
"""Seconds without a word that a tutor may do something about; shorter ones are left out."""

SOMETHING: Final = "algo"
"""The word that replaces a redacted one."""

Written = dict[str, Any]
"""A script, or a step of it, as in YAML."""


def replayed(parts: Sequence[CapturedJob], tutor: TutorSettings) -> Written:
    """Return a captured lesson as a script in YAML's form, which expects what the tutor said.

    Args:
        parts: The lesson's jobs, at least one; a job after the first resumed it.
        tutor: The tutor as config/tutors has it now.
    """
    [welcome, *_] = (one.message for one in parts[0].messages)
    assert isinstance(welcome, Welcome)
    source = {"agent": tutor.agent} if tutor.agent else {"tutor": tutor.plugin or tutor.name}
    steps: list[str | Written] = []
    for number, part in enumerate(parts):
        steps += ["kill_job"] if number else []
        steps += _steps(part.messages)
    script = {
        **source,
        "settings": tutor.settings,
        "language": welcome.language,
        "context": _context(welcome),
        "steps": steps,
        "expect": _expected(parts),
    }
    return {name: value for name, value in script.items() if value}


def _context(welcome: Welcome) -> Written:
    exclude = {"preferences": {"replay_consent"}}
    return welcome.context.model_dump(mode="json", exclude_defaults=True, exclude=exclude)


def _steps(messages: Sequence[CapturedMessage]) -> Iterator[str | Written]:
    call: CallSpecialist | None = None
    called = latest = 0.0  # times of the last events; ticks send checkpoints in silence, too
    for captured in messages:
        match captured.message:
            case Checkpoint(turns=turns) | Finish(turns=turns) if turns:
                if (silence := captured.at - latest) > SILENT_SECONDS:
                    yield {"silence": round(silence)}
                yield from map(_turn, turns)
            case CallSpecialist():
                call, called = captured.message, captured.at
            case HandedBack(handback=handback) if call is not None:
                seconds = max(1, round(captured.at - called))
                came = {"outcome": handback.outcome, "seconds": seconds}
                yield {"tutor_calls": _call(call) | came}
            case Returned():
                yield "leaves"
                yield "returns"
            case _:
                continue
        latest = captured.at


def _turn(turn: Utterance) -> Written:
    if turn.speaker == "learner":
        return {"says": turn.text.replace(REDACTED, SOMETHING)}
    if REDACTED not in turn.text:
        return {"tutor_says": turn.text}
    return {"tutor_says": {"matches": ".*".join(map(re.escape, turn.text.split(REDACTED)))}}


def _call(call: CallSpecialist) -> Written:
    request = {"focus": call.request.focus, "words": list(call.request.words)}
    return {"agent_name": call.agent_name} | {name: it for name, it in request.items() if it}


def _expected(parts: Sequence[CapturedJob]) -> Written:
    """Return the progress in the end, and the reason if it was the tutor's or the learner's."""
    last = parts[-1].messages[-1].message
    expected: Written = {}
    if isinstance(last, Finish):
        if last.ending.reason == Reason.LEARNER_LEFT or last.ending.reason not in set(Reason):
            expected["reason"] = last.ending.reason
        if progress := last.report and last.report.progress:
            expected["progress"] = _progress(progress)
    return expected


def _progress(progress: Progress) -> Written:
    return progress.model_dump(mode="json", exclude_defaults=True)

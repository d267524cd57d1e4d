"""`play_lesson`: a lesson by script, on virtual time."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from loqua_host.link.messages import Checkpoint, Finish, HookTimed, SteppedOut
from loqua_host.registry.loader import load_plugin

from .host import VISIT, ScriptedHost
from .player import LessonFailedError, LessonPlayer
from .result import LessonResult, find_cause, find_failures, find_problems, tell_lesson
from .script import LessonScript
from .virtual_time import VirtualLoop

__all__ = ["play_lesson"]


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
        lesson = LessonPlayer(script, loaded)
        try:
            runner.run(lesson.play())
        except LessonFailedError as failed:
            raise LessonFailedError(
                f"{failed}\n{tell_lesson(lesson.host.said, log)}"
            ) from find_cause(log)
    result = _result(lesson.host, log)
    if problems := list(find_problems(script.expect, result)):
        told = "\n".join((*problems, tell_lesson(lesson.host.said, log)))
        raise LessonFailedError(told) from find_cause(log)
    return result


def _result(host: ScriptedHost, log: list[Any]) -> LessonResult:
    timed = [one for one in host.sent if isinstance(one, HookTimed)]
    saved = [one for one in host.sent if isinstance(one, Checkpoint)]
    ends = [one for one in host.sent if isinstance(one, Finish | SteppedOut)]
    end = ends[-1] if ends else None
    return LessonResult(
        said=tuple(host.said),
        hooks=tuple(one.hook for one in timed),
        hook_seconds={
            hook: max(one.seconds for one in timed if one.hook == hook)
            for hook in dict.fromkeys(one.hook for one in timed)
        },
        ticks=tuple(one.progress for one in saved if one.progress is not None),
        reason=end.ending.reason if end else "",
        report=end.report if end else None,
        record=host.api.record_of(VISIT),
        calls=tuple(host.api.calls),
        failures=tuple(find_failures(log)),
        log=tuple(log),
    )

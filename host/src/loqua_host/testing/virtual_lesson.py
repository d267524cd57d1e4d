"""`play_lesson`: a lesson by script, on virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from livekit.agents.llm import LLM
from structlog.testing import capture_logs

from loqua_host.livekit_internals import around_mcp_calls
from loqua_host.registry.author import Author
from loqua_host.registry.loader import LoadedTutor, load_plugin

from .meaning import find_misjudged
from .player import LessonFailedError, LessonPlayer
from .result import LessonResult, find_cause, find_problems, render_lesson, result_of
from .script import LessonScript, ScriptError
from .virtual_time import VirtualLoop, outside, run_virtually

__all__ = ["play_lesson", "run_script"]


def play_lesson(
    script: LessonScript, judge: "LLM[Any] | None" = None, *, livekit: bool = False
) -> LessonResult:
    """Play a lesson, and check all that its script expects.

    The host's own code runs: job, hooks, ticks, lessons, reconciler, ledger and delivery. LiveKit's
    server, the Loqua API and sound are replaced, and time is virtual.

    Args:
        script: The script.
        judge: The language model that judges what `TutorSays(means=…)` expects.
        livekit: Whether to play it in a real room instead: with a LiveKit server, a host's process
            and spoken words, in real time. It must come to the same.

    Returns:
        The result; the last one if the lesson is repeated. Of a lesson in a real room, `report` and
        `shown` are empty.

    Raises:
        LessonFailedError: If anything is not as expected, a failure of the tutor's code included.
        ScriptError: If it needs a judge and there is none, or a real room cannot play it.
        BrokenTutorError: If the plugin violates the contract.
        ValidationError: If the script's settings do not fit the tutor's model.
    """
    loaded = load_plugin(plugin=script.tutor or None, agent=script.agent)
    for _ in range(script.repeat):
        result = _play_in_room(script, loaded) if livekit else run_script(script, loaded)
        problems = list(find_problems(script.expect, result))
        if problems := [*problems, *_misjudged(result, judge)]:
            shown = "\n".join((*problems, render_lesson(result.said, result.log)))
            raise LessonFailedError(shown) from find_cause(result.log)
    return result


def _play_in_room(script: LessonScript, loaded: LoadedTutor) -> LessonResult:
    if find_spec("loqua_speech") is None:
        raise ScriptError("a real room needs loqua_speech: install loqua-host[dev]")
    from .room_lesson import play_in_room  # noqa: PLC0415  # its parts are slow to import

    return asyncio.run(play_in_room(script, loaded))


def _misjudged(result: LessonResult, judge: "LLM[Any] | None") -> list[str]:
    if result.claims and judge is None:
        raise ScriptError("`means` needs a judge; give play_lesson a language model: judge=…")
    return list(find_misjudged(result.claims, judge)) if judge else []


def run_script(
    script: LessonScript, loaded: LoadedTutor, make_loop: Callable[[], VirtualLoop] = VirtualLoop
) -> LessonResult:
    """Play a lesson without a look at what its script expects in the end.

    Args:
        script: The script.
        loaded: Its tutor.
        make_loop: Makes the event loop.

    Raises:
        LessonFailedError: If a step is not possible, or the tutor does not do what a step expects.
        ValidationError: If the script's settings do not fit the tutor's model.
    """
    loaded.read_settings(script.settings)
    with capture_logs() as log, around_mcp_calls(outside):
        lesson = LessonPlayer(script, loaded)
        outcome, left = run_virtually(lesson.play(), make_loop)
    shown = render_lesson(lesson.host.said, log)
    if isinstance(outcome, BaseException) and not isinstance(outcome, LessonFailedError):
        raise outcome
    author = Author(loaded.packages)
    problems = [str(outcome)] if isinstance(outcome, LessonFailedError) else []
    if problems := [*problems, *(_uncancelled(one, author) for one in left)]:
        raise LessonFailedError("\n".join((*problems, shown))) from find_cause(log)
    return replace(result_of(lesson.host, log), claims=tuple(lesson.claims))


def _uncancelled(task: "asyncio.Task[Any]", author: Author) -> str:
    """Return the hint for a task that keeps running after it was cancelled."""
    what = author.waiting(task) or task.get_name()
    return f"{what} goes on after it was cancelled; let CancelledError through"

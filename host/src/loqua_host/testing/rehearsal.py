"""A rehearsal: a lesson that finds mistakes in a tutor's hooks.

It runs in a process of its own, as `python -m loqua_host.testing.rehearsal ANSWER < QUESTION`:
a plugin may block, crash or end its process, and gets no secret of whoever checks it.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from loqua_host.errors import Problem
from loqua_host.registry.author import Author
from loqua_host.registry.loader import load_plugin
from loqua_host.settings.tutors import TutorSettings

from .loop_watch import LoopWatch
from .player import LessonFailedError
from .result import LessonResult
from .script import LessonScript
from .steps import KillJob, LessonStep, Says, StaysSilent, Types
from .virtual_lesson import run_script
from .virtual_time import VirtualLoop

__all__ = ["rehearse"]

STEPS: Final[tuple[LessonStep, ...]] = (
    *(Says("Hola."), StaysSilent(31), Types("Me llamo Ana."), StaysSilent(31)),
    *(KillJob(), Says("¿Perdón?"), StaysSilent(31)),
)
"""Steps that call every hook, also in a resumed lesson."""

NOT_TO_BLOCK: Final = "await it, or call it by asyncio.to_thread"


def rehearse(tutor: TutorSettings) -> Iterator[Problem]:
    """Teach a lesson on virtual time, and yield what is wrong with the tutor's code.

    Args:
        tutor: The tutor.
    """
    loaded = load_plugin(plugin=tutor.plugin, agent=tutor.agent)
    loop = VirtualLoop()
    watch = LoopWatch(Author(loaded.packages), lambda: loop.turns)
    try:
        with watch.watching():
            result = run_script(_script(tutor), loaded, lambda: loop)
    except LessonFailedError as failed:
        yield Problem(tutor.source, str(failed), "play the lesson with loqua-host console")
    else:
        yield from _failures(tutor, result)
    for call in watch.found.values():
        what = f"{call.callback} blocks the event loop, for {call.seconds:.1f} s or longer"
        yield Problem(call.at, what, NOT_TO_BLOCK)


def _script(tutor: TutorSettings) -> LessonScript:
    named: dict[str, Any] = {"agent": tutor.agent} if tutor.agent else {"tutor": tutor.plugin}
    return LessonScript(
        **named,
        settings=tutor.settings,
        language=tutor.language,
        replies=("Sí.",) * 20,
        steps=STEPS,
        until_end=True,
    )


def _failures(tutor: TutorSettings, result: LessonResult) -> Iterator[Problem]:
    for failure in dict.fromkeys(result.failures):
        what, _, at = failure.rpartition(" at ")
        yield Problem(at if what else tutor.source, what or failure, "handle it, or correct it")


def _main(answer: Path) -> None:
    tutor = TutorSettings.model_validate_json(sys.stdin.read())
    problems = [{"where": one.where, "what": one.what, "hint": one.hint} for one in rehearse(tutor)]
    answer.write_text(json.dumps(problems), "utf-8")
    os._exit(0)  # the tutor may have left threads


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

"""The progress ticks of a lesson."""

import asyncio
from itertools import count

import structlog

from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Tick
from loqua_host.errors import HookFailedError
from loqua_host.registry.caller import HookCaller

from .checkpoints import Checkpoints
from .clock import Stopwatch

__all__ = ["tick"]

log = structlog.get_logger()


async def tick(
    lesson: Lesson,
    hooks: HookCaller,
    checkpoints: Checkpoints,
    clock: Stopwatch,
    *,
    every: float,
    give_up_after: int,
) -> None:
    """Ask the tutor for progress every `every` seconds and send a checkpoint, until cancelled.

    A failing tick is logged and the lesson goes on; after `give_up_after` in a row the
    tutor is not asked any more in this lesson.
    """
    failed = 0
    for number in count(1):
        await asyncio.sleep(every)
        try:
            progress = await hooks.on_progress_tick(
                lesson, Tick(number=number, seconds=clock.seconds)
            )
        except HookFailedError:
            failed += 1
            progress = None
        else:
            failed = 0
        await checkpoints.send(progress)
        if failed == give_up_after:
            log.error("lesson.ticks_stopped", failed=failed)
            return

"""The progress ticks of a lesson."""

import asyncio
import contextlib
from itertools import count

import structlog
from pydantic import ValidationError

from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Progress, Tick
from loqua_host.errors import HookFailedError, LinkError
from loqua_host.link.client import HostLink
from loqua_host.link.messages import MAX_TURNS, ProgressMade, reasons_of
from loqua_host.registry.caller import HookCaller

from .clock import Stopwatch
from .conversation import last_sentences

__all__ = ["tick"]

log = structlog.get_logger()


async def tick(
    lesson: Lesson,
    hooks: HookCaller,
    link: HostLink,
    clock: Stopwatch,
    *,
    every: float,
    give_up_after: int,
) -> None:
    """Ask the tutor for progress every `every` seconds and tell the host, until cancelled.

    A failing tick is logged and the lesson goes on; after `give_up_after` in a row the
    ticks of this lesson stop. Progress or state that does not fit its contract is logged with
    the field's name and not sent; a host that is gone is for the link's reader to notice.
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
            if failed == give_up_after:
                log.error("lesson.ticks_stopped", failed=failed)
                return
            continue
        failed = 0
        if progress is not None:
            await _tell(lesson, link, clock.seconds, progress)


async def _tell(lesson: Lesson, link: HostLink, seconds: float, progress: Progress) -> None:
    turns = last_sentences(lesson.session, MAX_TURNS)
    try:
        message = ProgressMade(seconds=seconds, progress=progress, state=lesson.state, turns=turns)
    except ValidationError as error:
        log.error("lesson.progress_refused", why=reasons_of(error))
        return
    with contextlib.suppress(LinkError):
        await link.send(message)

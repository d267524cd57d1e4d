"""Whether a running lesson may go on: the API is asked again and again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from loqua_host.contract.records import Mode
from loqua_host.core import LoquaApi
from loqua_host.errors import RefusedError, UnreachableError
from loqua_host.link.messages import WrapUp
from loqua_host.records.delivery import caller_of

from .causes import cause_of
from .live_lesson import LiveLesson
from .metrics import LessonMetrics

__all__ = ["acquire_token_when_reachable", "check_health"]

log = structlog.get_logger()


async def check_health(lesson: LiveLesson, api: LoquaApi, every: Callable[[], float]) -> None:
    """End a lesson politely once the API refuses it; poll until cancelled.

    Args:
        lesson: The lesson.
        api: The API.
        every: Says how many seconds to wait; a learner who is seen again cuts that short.
    """
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every()):
                await lesson.seen_again.wait()
        lesson.seen_again.clear()
        try:
            await api.check_health(caller_of(lesson.row))
            await _inform(lesson, api)
        except UnreachableError as error:
            log.warning("health.unreachable", why=str(error))
        except RefusedError as refusal:
            log.error("health.refused", cause=cause_of(refusal), why=str(refusal))
            await lesson.link.send(WrapUp(reason=cause_of(refusal)))
            return


async def acquire_token_when_reachable(
    lesson: LiveLesson, api: LoquaApi, metrics: LessonMetrics
) -> None:
    """Lease the token of a lesson that began without the API, once that answers, and inform it."""
    try:
        await api.lease_patiently(caller_of(lesson.row))
        lesson.leased = True
        await _inform(lesson, api)
    except RefusedError as refusal:
        metrics.refused.labels(cause_of(refusal)).inc()
        log.error("lesson.refused", cause=cause_of(refusal), why=str(refusal))
        await lesson.link.send(WrapUp(reason=cause_of(refusal)))


async def _inform(lesson: LiveLesson, api: LoquaApi) -> None:
    """Load the context of a lesson that began without it; while it cannot be had, do nothing."""
    if not lesson.informed:
        loaded = await api.context(caller_of(lesson.row))
        if loaded.mode is Mode.FULL:
            await lesson.inform(loaded.context)

"""Polling of the API during a lesson: permissions, and the token in mock mode."""

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
    """Poll the API until cancelled, and end the lesson politely if the API refuses it.

    Args:
        lesson: The lesson.
        api: The API.
        every: Returns the seconds between polls. A learner who returns triggers a poll.
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
    """Acquire the token of a lesson in mock mode when the API responds, and send the context."""
    try:
        await api.lease_patiently(caller_of(lesson.row))
        lesson.leased = True
        await _inform(lesson, api)
    except RefusedError as refusal:
        metrics.refused.labels(cause_of(refusal)).inc()
        log.error("lesson.refused", cause=cause_of(refusal), why=str(refusal))
        await lesson.link.send(WrapUp(reason=cause_of(refusal)))


async def _inform(lesson: LiveLesson, api: LoquaApi) -> None:
    """Load the context of a lesson that started without it. If it is unavailable, do nothing."""
    if not lesson.informed:
        loaded = await api.context(caller_of(lesson.row))
        if loaded.mode is Mode.FULL:
            await lesson.inform(loaded.context)

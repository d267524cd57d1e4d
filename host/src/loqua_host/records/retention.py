"""Retention: deletion of learners' data that is no longer needed."""

import asyncio
from datetime import timedelta

import structlog

from loqua_host.core.clock import Clock

from .captures import Captures
from .ledger import Ledger

__all__ = ["purge_regularly"]

log = structlog.get_logger()

PURGE_INTERVAL = 3600.0
"""Seconds between two purges."""


async def purge_regularly(
    ledger: Ledger,
    *,
    keep_delivered: timedelta,
    keep_dead: timedelta,
    keep_unknown: timedelta,
    captures: Captures | None,
    clock: Clock,
) -> None:
    """Delete expired data periodically, until cancelled.

    Args:
        ledger: The ledger.
        keep_delivered: How long to keep a fully delivered lesson. Until then, no other lesson gets
            its session id.
        keep_dead: How long to keep a dead letter.
        keep_unknown: How long to keep a dead letter of a learner unknown to the API.
        captures: Captures of lessons, which are kept for as long as delivered lessons.
        clock: The clock.
    """
    while True:
        now = clock.now()
        deleted = await ledger.purge(
            delivered_before=now - keep_delivered.total_seconds(),
            dead_before=now - keep_dead.total_seconds(),
            unknown_before=now - keep_unknown.total_seconds(),
        )
        if deleted.lessons or deleted.dead:
            log.info("ledger.purged", lessons=deleted.lessons, dead=deleted.dead)
        if captures is not None:
            await asyncio.to_thread(captures.purge, now - keep_delivered.total_seconds())
        await clock.sleep(PURGE_INTERVAL)

"""Retention: learners' data is deleted once it is of no more use."""

from datetime import timedelta

import structlog

from loqua_host.core.clock import Clock

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
    clock: Clock,
) -> None:
    """Delete what has been kept for long enough, until cancelled.

    Args:
        ledger: The ledger.
        keep_delivered: How long a closed lesson is kept of which all was delivered; until then no
            other lesson gets its session id.
        keep_dead: How long a dead letter is kept.
        keep_unknown: How long one is kept that was for a learner whom the API does not know.
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
        await clock.sleep(PURGE_INTERVAL)

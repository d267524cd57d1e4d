"""Retention: learners' data is kept no longer than it is of use."""

from datetime import timedelta

import structlog

from loqua_host.core.clock import Clock

from .ledger import Ledger

__all__ = ["purge_regularly"]

log = structlog.get_logger()

PURGE_EVERY = 3600.0
"""Seconds between two purges."""


async def purge_regularly(
    ledger: Ledger,
    *,
    keep_delivered: timedelta,
    keep_dead: timedelta,
    keep_unknown: timedelta,
    clock: Clock,
) -> None:
    """Forget what has been kept for long enough, until cancelled.

    Args:
        ledger: Where it is kept.
        keep_delivered: How long a closed lesson is kept that owes nothing; while it is, no
            other lesson gets its session id.
        keep_dead: How long a row is kept that the API refused for good.
        keep_unknown: How long one is kept that was for a learner whom the API does not know.
        clock: Says when.
    """
    while True:
        now = clock.now()
        gone = await ledger.purge(
            delivered_before=now - keep_delivered.total_seconds(),
            dead_before=now - keep_dead.total_seconds(),
            unknown_before=now - keep_unknown.total_seconds(),
        )
        if gone.lessons or gone.dead:
            log.info("ledger.purged", lessons=gone.lessons, dead=gone.dead)
        await clock.sleep(PURGE_EVERY)

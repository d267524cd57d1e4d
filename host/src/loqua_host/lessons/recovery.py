"""Keeps this host's lease, and has it go on with what dead hosts left."""

from collections.abc import Collection

import structlog

from loqua_host.core.clock import Clock
from loqua_host.errors import LedgerError
from loqua_host.records.delivery import Delivery
from loqua_host.records.leases import LEASE
from loqua_host.records.ledger import Ledger

from .board import Board

__all__ = ["keep_lease", "recover"]

log = structlog.get_logger()


async def keep_lease(
    ledger: Ledger, board: Board, delivery: Delivery, tutors: Collection[str], clock: Clock
) -> None:
    """Renew the lease and recover what is left by others, until cancelled."""
    while True:
        await clock.sleep(LEASE / 3)
        try:
            await recover(ledger, board, delivery, tutors)
        except LedgerError as error:
            log.error("ledger.lease_not_renewed", why=str(error))


async def recover(
    ledger: Ledger, board: Board, delivery: Delivery, tutors: Collection[str]
) -> None:
    """Write what waited for the ledger, and take over what dead hosts left.

    Their lessons come on the board to be restored, those of `tutors`, which run here, at once;
    their rows are delivered.

    What another host has gone on with leaves the board, which learns whether there are others. A
    host that stops takes over nothing any more.

    Raises:
        LedgerError: If the ledger cannot be reached now.
    """
    if replayed := await ledger.replay():
        log.info("ledger.replayed", notes=replayed)
        delivery.wake()
    if board.leaving:
        await ledger.renew()
        return
    before = board.all_interrupted()
    if taken := await ledger.take_over(tutors):
        log.warning("ledger.adopted", lessons=taken)
        delivery.wake()
    board.shared = await ledger.is_shared()
    lost = {row.id: row for row in await ledger.interrupted()}
    for one in before.keys() - lost.keys():
        board.drop_interrupted(before[one])
    for one in lost.keys() - before.keys() - board.all_interrupted().keys():
        row = lost[one]
        log.warning("lesson.found_open", room=row.room, **row.bound)
        board.on_interrupted(row, None)

"""Keeps this host's lease, and has it go on with what dead hosts left."""

import structlog

from loqua_host.errors import LedgerError
from loqua_host.records.leases import LEASE

from .services import Services

__all__ = ["keep_lease", "recover"]

log = structlog.get_logger()


async def keep_lease(services: Services) -> None:
    """Renew the lease and recover what is left by others, until cancelled."""
    while True:
        await services.clock.sleep(LEASE / 3)
        try:
            await recover(services)
        except LedgerError as error:
            log.error("ledger.lease_not_renewed", why=str(error))


async def recover(services: Services) -> None:
    """Write what waited for the ledger, and take over what dead hosts left.

    Their lessons are noted as interrupted and restored, those of tutors that run here at once;
    their rows are delivered.

    Lessons that another host goes on with are forgotten here, and whether there are other hosts is
    noted. A host that stops takes nothing over.

    Raises:
        LedgerError: If the ledger cannot be reached now.
    """
    ledger, delivery, dispatch_state = services.ledger, services.delivery, services.dispatch_state
    if replayed := await ledger.replay():
        log.info("ledger.replayed", notes=replayed)
        delivery.wake()
    if dispatch_state.leaving:
        await ledger.renew()
        return
    before = dispatch_state.all_interrupted()
    if taken := await ledger.take_over(services.tutors):
        log.warning("ledger.adopted", lessons=taken)
        delivery.wake()
    dispatch_state.shared = await ledger.is_shared()
    lost = {row.id: row for row in await ledger.interrupted()}
    for one in before.keys() - lost.keys():
        dispatch_state.drop_interrupted(before[one])
    for one in lost.keys() - before.keys() - dispatch_state.all_interrupted().keys():
        row = lost[one]
        log.warning("lesson.found_open", room=row.room, **row.bound)
        dispatch_state.on_interrupted(row, None)

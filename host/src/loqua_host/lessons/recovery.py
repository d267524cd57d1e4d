"""Renewal of this host's lease, and takeover of what dead hosts left."""

import structlog

from loqua_host.errors import LedgerError
from loqua_host.records.leases import LEASE

from .regions import RegionWatch
from .services import Services

__all__ = ["maintain_lease", "recover"]

log = structlog.get_logger()


async def maintain_lease(services: Services, regions: RegionWatch | None = None) -> None:
    """Renew the lease and take over what dead hosts left, until cancelled."""
    while True:
        await services.clock.sleep(LEASE / 3)
        try:
            if regions is not None:
                await regions.follow()
            await recover(services)
        except LedgerError as error:
            log.error("ledger.lease_not_renewed", why=str(error))


async def recover(services: Services) -> None:
    """Write the spool to the ledger, and take over what dead hosts left.

    Their open lessons are noted as interrupted, to be restored; those of tutors that do not run
    here only after a minute. Their outbox entries are delivered. Lessons of this host that the
    ledger opened, although their jobs were refused, are noted as interrupted, too.

    This also forgets lessons that another host has resumed, and notes whether there are other
    hosts and which specialists they run. A host that stops takes nothing over, nor does one that
    stands by for another region.

    Raises:
        LedgerError: If the ledger is unreachable.
    """
    ledger, delivery, dispatch_state = services.ledger, services.delivery, services.dispatch_state
    if replayed := await ledger.replay():
        log.info("ledger.replayed", notes=replayed)
        delivery.wake()
    if dispatch_state.leaving:
        await ledger.renew()
        await ledger.exchange_tutors({})
        return
    before = dispatch_state.all_interrupted()
    if dispatch_state.standby:
        await ledger.renew()
    elif taken := await ledger.take_over(services.tutors):
        log.warning("ledger.taken_over", lessons=taken)
        delivery.wake()
    if stale := await ledger.release_claims(
        lambda room, tutor: tutor in dispatch_state.taught(room)
    ):
        log.warning("ledger.claims_released", claims=stale)
    dispatch_state.shared = await ledger.is_shared()
    # A standby host belongs to another region, whose LiveKit has none of these rooms.
    takes = {} if dispatch_state.standby else services.tutors
    own = {tutor.name: tutor.agent_name for tutor in takes.values()}
    dispatch_state.elsewhere = await ledger.exchange_tutors(own)
    lost = {row.id: row for row in await ledger.interrupted()}
    for one in before.keys() - lost.keys():
        dispatch_state.drop_interrupted(before[one])
    for one in lost.keys() - before.keys() - dispatch_state.all_interrupted().keys():
        row = lost[one]
        log.warning("lesson.found_open", room=row.room, **row.bound)
        dispatch_state.on_interrupted(row, None)

"""The active region of two, decided by the ledger that they share.

The ledger names one **active region**. Hosts of the other stand by: they begin no lesson and take
none over. Each host reports with its lease whether it is ready to teach. If no host of the active
region has been ready for a time, a ready host of the other region makes its own the active one.

The ledger has one server that accepts writes, so two regions cannot both change the active one, and
a region that cannot reach the ledger begins no lesson.

These functions run in the caller's transaction, and use the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .database import DatabaseConnection
from .queries import QUERIES

__all__ = ["RegionReport", "RegionState", "activate", "read_state", "report"]


@dataclass(frozen=True, slots=True)
class RegionReport:
    """A host's report about its region.

    Attributes:
        region: The host's region.
        primary: The region that is active at first.
        ready: Whether the host could teach now.
        failover_after: Seconds without a ready host after which this one replaces the active
            region; None to leave that to operators.
    """

    region: str
    primary: str
    ready: bool
    failover_after: float | None


@dataclass(frozen=True, slots=True)
class RegionState:
    """The state of the regions in the ledger.

    Attributes:
        active: The region that teaches.
        since: Since when, in Unix seconds.
        ready_hosts: The number of ready hosts, by region; a region without any is missing.
    """

    active: str
    since: float
    ready_hosts: Mapping[str, int] = field(default_factory=dict)


def report(db: DatabaseConnection, host: str, it: RegionReport) -> RegionState | None:
    """Report a host's region, make it the active one if that is due, and return the state."""
    db.execute(QUERIES["begin_active_region"], {"primary": it.primary})
    values = {"host": host, "region": it.region, "ready": int(it.ready)}
    db.execute(QUERIES["report_region"], values)
    if it.ready and it.failover_after is not None:
        db.execute(QUERIES["fail_over"], {"region": it.region, "failover_after": it.failover_after})
    return read_state(db)


def activate(db: DatabaseConnection, region: str) -> None:
    """Make a region the active one, if one of its hosts has reported within the last hour."""
    db.execute(QUERIES["activate_region"], {"region": region})


def read_state(db: DatabaseConnection) -> RegionState | None:
    """Return the state, or None if no host has ever run with regions."""
    row = db.execute(QUERIES["active_region"]).fetchone()
    if row is None:
        return None
    ready = {it["region"]: it["hosts"] for it in db.execute(QUERIES["ready_hosts"]).fetchall()}
    return RegionState(row["name"], row["since"], ready)

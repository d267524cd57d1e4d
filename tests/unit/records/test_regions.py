"""Two regions that share a ledger, of which one is active."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.ledger import Ledger
from loqua_host.records.postgres import PostgresDatabase
from loqua_host.records.regions import RegionReport, RegionState

WEST, EAST = "eu-west", "eu-east"
AFTER = 60.0


@pytest.fixture
async def hosts(postgres_url: str) -> AsyncIterator[list[Ledger]]:
    """Yield the ledger as a host of each region has it, the primary one first."""
    async with AsyncExitStack() as stack:
        opened = [Ledger.open(PostgresDatabase(postgres_url), retry_every=0.01) for _ in range(2)]
        yield [await stack.enter_async_context(one) for one in opened]


async def report(
    ledger: Ledger, region: str, *, ready: bool = True, failover_after: float | None = AFTER
) -> RegionState:
    """Report a host, and return the state."""
    state = await ledger.report_region(
        RegionReport(region=region, primary=WEST, ready=ready, failover_after=failover_after)
    )
    assert state is not None
    return state


async def pass_time(ledger: Ledger, seconds: float) -> None:
    """Move the database's times back, as if nobody had reported meanwhile."""
    for query in (
        "UPDATE host SET ready_until = ready_until - :by",
        "UPDATE active_region SET since = since - :by",
    ):
        await ledger._writer.write(lambda db, it=query: db.execute(it, {"by": seconds}))


async def test_the_primary_teaches_at_first(hosts: list[Ledger]) -> None:
    """Whichever host is the first."""
    west, east = hosts
    assert (await report(east, EAST)).active == WEST
    assert (await report(west, WEST)).ready_hosts == {WEST: 1, EAST: 1}


async def test_the_secondary_waits_while_a_host_of_the_primary_is_ready(
    hosts: list[Ledger],
) -> None:
    """However long it has been active."""
    west, east = hosts
    await report(west, WEST)
    await pass_time(west, AFTER * 100)
    await report(west, WEST)
    assert (await report(east, EAST)).active == WEST


async def test_the_secondary_teaches_after_a_time_without_a_ready_host(hosts: list[Ledger]) -> None:
    """And the primary stands by when it is back."""
    west, east = hosts
    await report(west, WEST)
    await pass_time(west, AFTER)
    assert (await report(east, EAST)).active == WEST, "its lease lasted 15 seconds more"
    await pass_time(west, 20.0)
    assert (await report(east, EAST)).active == EAST
    assert (await report(west, WEST)).active == EAST


async def test_a_host_that_is_alive_and_not_ready_does_not_hold_its_region(
    hosts: list[Ledger],
) -> None:
    """For example because LiveKit is down there."""
    west, east = hosts
    await report(west, WEST)
    await pass_time(west, AFTER + 20.0)
    assert (await report(west, WEST, ready=False)).ready_hosts == {}
    assert (await report(east, EAST)).active == EAST


async def test_a_region_that_has_just_begun_to_teach_has_time_to_get_ready(
    hosts: list[Ledger], postgres_url: str
) -> None:
    """An operator may activate a region shortly before its hosts are ready."""
    west, east = hosts
    await report(west, WEST)
    await report(east, EAST, ready=False)
    with LedgerAdmin.open(PostgresDatabase(postgres_url)) as admin:
        state = admin.activate_region(EAST)
    assert state is not None
    assert (state.active, state.ready_hosts) == (EAST, {WEST: 1})
    assert (await report(west, WEST)).active == EAST
    await pass_time(west, AFTER)
    assert (await report(west, WEST)).active == WEST


@pytest.mark.parametrize(
    ("ready", "failover_after"),
    [
        pytest.param(False, AFTER, id="not-ready-itself"),
        pytest.param(True, None, id="left-to-operators"),
    ],
)
async def test_not_every_host_takes_over(
    hosts: list[Ledger], ready: bool, failover_after: float | None
) -> None:
    """One that could not teach does not, and none where operators decide."""
    west, east = hosts
    await report(west, WEST)
    await pass_time(west, 1e6)
    state = await report(east, EAST, ready=ready, failover_after=failover_after)
    assert state.active == WEST


async def test_a_region_without_hosts_is_not_activated(
    hosts: list[Ledger], postgres_url: str
) -> None:
    """A misspelt name would have nobody teach."""
    await report(hosts[0], WEST)
    with LedgerAdmin.open(PostgresDatabase(postgres_url)) as admin:
        state = admin.activate_region("eu-wset")
    assert state is not None
    assert state.active == WEST


async def test_a_ledger_without_regions_knows_none(postgres_url: str, hosts: list[Ledger]) -> None:
    """Then there is nothing to activate."""
    del hosts
    with LedgerAdmin.open(PostgresDatabase(postgres_url)) as admin:
        assert admin.regions() is None
        assert admin.activate_region(EAST) is None

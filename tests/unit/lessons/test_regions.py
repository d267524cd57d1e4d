"""A host on standby while the other region is active."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.lessons.host_under_test import make_services

from loqua_host.errors import LedgerError
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.recovery import recover
from loqua_host.lessons.regions import RegionWatch
from loqua_host.link.server import JobRef
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger, LessonRow
from loqua_host.records.regions import RegionReport, RegionState
from loqua_host.settings.regions import RegionSettings
from loqua_host.testing.tutors import running_tutor

WEST, EAST = "eu-west", "eu-east"
AFTER = 60.0


class RegionLedger:
    """A ledger that names the active region."""

    def __init__(self) -> None:
        self.active = WEST
        self.reports: list[RegionReport] = []
        self.unreachable = False

    async def report_region(self, report: RegionReport) -> RegionState:
        """Return the state."""
        if self.unreachable:
            raise LedgerError("LEDGER_URL: connection refused")
        self.reports.append(report)
        return RegionState(self.active, 0.0)


@pytest.fixture
def ledger_of_regions() -> RegionLedger:
    """Return a ledger."""
    return RegionLedger()


@pytest.fixture
def dispatch_state(wall: Any) -> DispatchState:
    """Return the dispatch state of a host in the secondary region."""
    return DispatchState(wall.monotonic)


@pytest.fixture
def watch(ledger_of_regions: Any, dispatch_state: DispatchState, wall: Any) -> RegionWatch:
    """Return the watch of that host."""
    settings = RegionSettings(here=EAST, primary=WEST, secondary=EAST, failover_after=AFTER)
    return RegionWatch(settings, ledger_of_regions, dispatch_state, wall, lambda: True)


async def test_it_stands_by_until_its_region_teaches(
    watch: RegionWatch, ledger_of_regions: RegionLedger, dispatch_state: DispatchState
) -> None:
    """And again afterwards."""
    standby = []
    for active in (WEST, EAST, WEST):
        ledger_of_regions.active = active
        await watch.follow()
        standby.append(dispatch_state.standby)
    assert standby == [True, False, True]


async def test_it_replaces_the_other_region_only_after_it_has_watched_without_a_break(
    watch: RegionWatch, ledger_of_regions: RegionLedger, wall: Any
) -> None:
    """After an outage of the ledger the other region's hosts need time to report."""
    for _ in range(14):
        await watch.follow()
        await wall.sleep(5.0)
    ledger_of_regions.unreachable = True
    for _ in range(20):
        with pytest.raises(LedgerError):
            await watch.follow()
        await wall.sleep(5.0)
    ledger_of_regions.unreachable = False
    for _ in range(14):
        await watch.follow()
        await wall.sleep(5.0)
    may = [report.failover_after is not None for report in ledger_of_regions.reports]
    assert may == ([False] * 12 + [True] * 2) * 2


def test_a_host_that_stands_by_goes_on_with_its_own_lessons_only(
    dispatch_state: DispatchState, a_lesson: Callable[..., LessonRow]
) -> None:
    """New learners are for the other region; a lesson that lost its job here is restored here."""
    lesson = a_lesson(1)
    dispatch_state.standby = True
    dispatch_state.on_interrupted(lesson, None)
    assert dispatch_state.is_elsewhere("another", lesson.tutor)
    assert not dispatch_state.is_elsewhere(lesson.room, lesson.tutor)


async def test_it_takes_nothing_over_and_keeps_its_lease(
    ledger: Ledger, dispatch_state: DispatchState, delivery: Delivery, a_lesson: Any
) -> None:
    """Its own lessons are restored."""
    row = await ledger.open_lesson(a_lesson(1), "")
    other = await ledger.open_lesson(a_lesson(2), "")
    await ledger._writer.write(
        lambda db: db.execute("UPDATE lesson SET owner = 'dead' WHERE id = :id", {"id": other.id})
    )
    dispatch_state.standby = True
    dispatch_state.on_taught(JobRef("job", "elsewhere", "conversation"))
    services = make_services(
        ledger=ledger,
        dispatch_state=dispatch_state,
        delivery=delivery,
        tutors={"conversation": running_tutor("conversation")},
    )
    await recover(services)
    assert list(dispatch_state.all_interrupted()) == [row.id]
    dispatch_state.standby = False
    await recover(services)
    assert set(dispatch_state.all_interrupted()) == {row.id, other.id}

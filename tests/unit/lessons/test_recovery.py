"""Recovery: takeover from a dead host, and lessons lost to another host."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.unit.lessons.host_under_test import make_services

from loqua_host.contract.records import Progress
from loqua_host.errors import LedgerError
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.recovery import maintain_lease, recover
from loqua_host.lessons.services import Services
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.leases import LEASE
from loqua_host.records.ledger import Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.testing.tutors import running_tutor

NewLesson = Callable[..., LessonRow]


def _services(ledger: Ledger, dispatch_state: DispatchState, delivery: Delivery) -> Services:
    """Return what a host recovers with that runs the conversation tutor."""
    return make_services(
        ledger=ledger,
        dispatch_state=dispatch_state,
        delivery=delivery,
        tutors={"conversation": running_tutor("conversation")},
    )


@pytest.fixture
def dispatch_state(wall: Any) -> DispatchState:
    """Return a host's dispatch_state."""
    return DispatchState(wall.now)


async def test_lessons_of_a_dead_host_are_registered_as_interrupted_and_its_entries_sent(
    tmp_path: Path, dispatch_state: DispatchState, loqua: Any, wall: Any, a_lesson: NewLesson
) -> None:
    """With the last progress; those that it closed do not."""
    path = tmp_path / "left.db"
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        await ledger.save_progress(row, 30.0, Progress(words_learned=3), {})
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
        running = asyncio.create_task(delivery.run())
        with structlog.testing.capture_logs() as logs:
            await recover(_services(ledger, dispatch_state, delivery))
        async with asyncio.timeout(30):
            await delivery.wait_delivered(row.id)
        running.cancel()
        await asyncio.wait([running])
    [lost] = dispatch_state.interrupted("room1")
    assert (lost.row.progress, lost.agent) == (Progress(words_learned=3), None)
    assert loqua.arrived == [("in_progress", "visit1")]
    found = [log["event"] for log in logs]
    assert sorted(found)[:2] == ["ledger.taken_over", "lesson.found_open"]


async def test_a_lesson_that_was_opened_without_its_jobs_knowledge_is_restored(
    ledger: Ledger, dispatch_state: DispatchState, delivery: Delivery, a_lesson: NewLesson
) -> None:
    """The database committed it and its answer was lost; until then nobody could have the tutor."""
    taught, unknown = [await ledger.open_lesson(a_lesson(number), "") for number in (1, 2)]
    dispatch_state.on_taught(JobRef("job", taught.room, taught.tutor))
    await recover(_services(ledger, dispatch_state, delivery))
    assert list(dispatch_state.all_interrupted()) == [unknown.id]
    assert await ledger.claim(unknown.room, unknown.tutor, 10.0)


async def test_what_went_on_elsewhere_leaves_the_board(
    ledger: Ledger, dispatch_state: DispatchState, delivery: Delivery, a_lesson: NewLesson
) -> None:
    """Lessons interrupted here remain, with the agent that died."""
    gone, lost = [await ledger.open_lesson(a_lesson(number), "") for number in (1, 2)]
    for row in (gone, lost):
        dispatch_state.on_interrupted(row, f"agent-{row.id}")
        await ledger.interrupt(row)
    again = await ledger.open_lesson(a_lesson(1), "")
    dispatch_state.on_taught(JobRef("job", again.room, again.tutor))
    await recover(_services(ledger, dispatch_state, delivery))
    assert dispatch_state.interrupted("room1") == ()
    [still] = dispatch_state.interrupted("room2")
    assert still.agent == "agent-lesson2"


async def test_a_host_that_stops_takes_over_nothing_any_more(
    ledger: Ledger, dispatch_state: DispatchState, delivery: Delivery, a_lesson: NewLesson
) -> None:
    """Not even what it has released itself: others do that, or the next start."""
    row = await ledger.open_lesson(a_lesson(1), "")
    await ledger.release(row)
    dispatch_state.leaving = True
    await recover(_services(ledger, dispatch_state, delivery))
    assert dispatch_state.all_interrupted() == {}
    dispatch_state.leaving = False
    await recover(_services(ledger, dispatch_state, delivery))
    assert [one.row.id for one in dispatch_state.interrupted("room1")] == [row.id]


async def test_a_lease_is_renewed_well_before_it_ends_and_however_often_that_fails(
    dispatch_state: DispatchState, wall: Any
) -> None:
    """The ledger's outage ends no host."""
    renewed = asyncio.Event()

    class Failing:
        tries = 0

        async def replay(self) -> int:
            self.tries += 1
            if self.tries < 4:
                raise LedgerError("LEDGER_URL: connection refused; see that the server runs")
            renewed.set()
            return 0

        async def adopt(self, _tutors: object) -> int:
            return 0

        async def interrupted(self) -> list[LessonRow]:
            return []

    services = make_services(ledger=Failing(), dispatch_state=dispatch_state, tutors={}, clock=wall)
    with structlog.testing.capture_logs() as logs:
        keeping = asyncio.create_task(maintain_lease(services))
        async with asyncio.timeout(30):
            await renewed.wait()
        keeping.cancel()
        await asyncio.wait([keeping])
    assert [log["event"] for log in logs] == ["ledger.lease_not_renewed"] * 3
    assert set(wall.slept) == {LEASE / 3}

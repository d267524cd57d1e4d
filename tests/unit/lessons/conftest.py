"""A host for the tests of lessons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.unit.lessons.host_under_test import (
    SPANISH,
    WRITTEN,
    FakeRooms,
    HostUnderTest,
    Opened,
    authorise,
    learner,
)

from loqua_host.lessons.departure import Departure
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.lessons.services import Services
from loqua_host.link.server import serve_link
from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger
from loqua_host.settings.host import HostSettings
from loqua_host.system.sockets import listen_unnamed
from loqua_host.system.tasks import background
from loqua_host.testing.tutors import running_tutor


@pytest.fixture
def open_host(
    ledger: Ledger, delivery: Delivery, loqua: Any, wall: Any, instruments: Instruments
) -> Opened:
    """Return what opens a host for the length of a block."""
    metrics = LessonMetrics(instruments)

    @asynccontextmanager
    async def opened(**sections: Any) -> AsyncIterator[HostUnderTest]:
        settings = HostSettings.model_validate(WRITTEN | sections)
        loqua.remembers = SPANISH
        rooms = FakeRooms({"room": [learner()]})
        tutors = {
            "conversation": running_tutor(
                "conversation", "", "loqua-tutor", 5, secrets={"KEY": "own"}, language="it"
            ),
            "grammar": running_tutor("grammar", "grammar-expert", "loqua-grammar", 5),
        }
        departures: dict[str, Departure] = {}
        dispatch_state = DispatchState(wall.monotonic, departures.get)
        async with background() as tasks:
            services = Services(
                rooms=rooms,  # type: ignore[arg-type]  # a fake
                api=loqua,
                ledger=ledger,
                delivery=delivery,
                dispatch_state=dispatch_state,
                tutors=tutors,
                settings=lambda: settings,
                tasks=tasks,
                clock=wall,
                metrics=metrics,
            )
            lessons = Lessons(services)
            with listen_unnamed() as (listener, link):
                async with serve_link(listener, authorise=authorise, serve=lessons.serve):
                    yield HostUnderTest(
                        lessons, services, rooms, loqua, dispatch_state, link, departures
                    )

    return opened


@pytest.fixture
async def host(open_host: Opened) -> AsyncIterator[HostUnderTest]:
    """Yield an open host."""
    async with open_host() as host:
        yield host

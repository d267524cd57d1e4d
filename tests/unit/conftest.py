"""Fakes for a host's lessons: the API, the wall clock, the ledger."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from tests.unit.lessons.fake_loqua import FakeLoqua

from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.sqlite import SqliteDatabase

Install = Callable[[str, str], None]

START_TIME = 1_800_000_000.0
"""The wall clock when a test begins."""


class WallClock:
    """A clock whose time passes only while somebody sleeps.

    Attributes:
        step: By how many seconds somebody has set it; what is monotonic does not notice.
    """

    def __init__(self) -> None:
        self.seconds = START_TIME
        self.step = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the same as `now`, unless that was set."""
        return self.seconds

    def now(self) -> float:
        """Return unix seconds."""
        return self.seconds + self.step

    async def sleep(self, seconds: float) -> None:
        """Advance the clock at once."""
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


def pytest_asyncio_loop_factories(
    item: pytest.Function,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on real time, unless their module says otherwise."""
    return {"loop": getattr(item.module, "LOOP", asyncio.new_event_loop)}


@pytest.fixture
def loqua() -> FakeLoqua:
    """Return an API that takes everything."""
    return FakeLoqua()


@pytest.fixture
def wall() -> WallClock:
    """Return the wall clock."""
    return WallClock()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Yield a ledger on disk that does not wait for the disk."""
    database = SqliteDatabase(tmp_path / "ledger.db")
    async with Ledger.open(database, retry_every=0.01) as ledger:
        database.raw.execute("PRAGMA synchronous = OFF")
        yield ledger


@pytest.fixture
def instruments() -> Instruments:
    """Return instruments that have counted nothing."""
    return Instruments()


@pytest.fixture
async def delivery(
    ledger: Ledger, loqua: FakeLoqua, wall: WallClock, instruments: Instruments
) -> AsyncIterator[Delivery]:
    """Yield a delivery that runs."""
    delivery = Delivery(
        ledger,
        loqua,  # type: ignore[arg-type]  # a fake
        clock=wall,
        metrics=DeliveryMetrics(instruments),
        jitter=lambda: 1.0,
    )
    running = asyncio.create_task(delivery.run())
    yield delivery
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture
def a_lesson() -> Callable[..., LessonRow]:
    """Return a maker of lessons; each argument stands for a field."""

    def make(number: int = 1, **fields: object) -> LessonRow:
        visit = f"visit{number}"
        row: dict[str, object] = {
            "id": f"lesson{number}",
            "session_id": visit,
            "visit": visit,
            "user_id": "maria",
            "room": f"room{number}",
            "tutor": "conversation",
            "agent_id": "loqua-tutor",
            "opened_at": START_TIME,
        }
        return LessonRow(**{**row, **fields})  # type: ignore[arg-type]  # the caller's own

    return make


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory that distributions are installed into."""
    directory = tmp_path_factory.mktemp("site")
    sys.path.insert(0, str(directory))
    yield directory
    sys.path.remove(str(directory))


@pytest.fixture(scope="module")
def install(site: Path) -> Install:
    """Install a distribution with one plugin, from its name and source."""

    def install_plugin(name: str, source: str) -> None:
        module = f"tutor_{name.replace('-', '_')}"
        (site / f"{module}.py").write_text(dedent(source), "utf-8")
        info = site / f"{module}-2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.3\n")
        (info / "entry_points.txt").write_text(f"[loqua_host]\n{name} = {module}\n")

    return install_plugin

"""A fake worker."""

import asyncio
from dataclasses import dataclass, field

from loqua_host.lessons.departure import Departure
from loqua_host.link.server import JobRef
from loqua_host.testing.tutors import running_tutor


@dataclass(eq=False)
class FakeWorker:
    """A worker that fails a set number of times, then serves until it is stopped."""

    name: str
    failures: int = 0
    found: dict[tuple[str, int], JobRef] = field(default_factory=dict)
    jobs: frozenset[str] = frozenset()
    runs: int = 0
    max_jobs: int = 3
    departures: list[Departure] = field(default_factory=list)
    reconnects: bool = False
    stuck: bool = False

    def __post_init__(self) -> None:
        """Make what is looked at."""
        self.tutor = running_tutor(self.name, "", "agent", self.max_jobs)
        self.registered = asyncio.Event()
        self.leaving = asyncio.Event()
        self.draining = asyncio.Event()
        self.closed = False
        self.may_register = asyncio.Event()
        self.may_register.set()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self._end = asyncio.Event()

    @property
    def busy(self) -> int:
        """Count the jobs."""
        return len(self.jobs)

    @property
    def online(self) -> bool:
        """Return whether LiveKit has it now."""
        return self.registered.is_set() and not self.reconnects

    async def run(self) -> None:
        """Serve."""
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError("no connection")
        await self.may_register.wait()
        self.registered.set()
        await self._end.wait()
        self.registered.clear()

    @property
    def departure(self) -> Departure | None:
        """Return the last departure."""
        return self.departures[-1] if self.departures else None

    def leave(self, departure: Departure) -> None:
        """Take no jobs any more."""
        self.departures.append(departure)
        self.leaving.set()

    async def drain(self) -> None:
        """Wait until the jobs are over."""
        self.draining.set()
        async with asyncio.timeout_at(self.departures[-1].deadline):
            await self.may_stop.wait()

    async def close(self) -> None:
        """Stop serving."""
        self.closed = True
        self._end.set()

    def find_job(self, token: str, pid: int) -> JobRef | None:
        """Look a job up."""
        return self.found.get((token, pid))

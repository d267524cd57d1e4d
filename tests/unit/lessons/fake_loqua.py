"""A Loqua API in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode, Progress, SessionRecord
from loqua_host.core import Caller, Loaded
from loqua_host.errors import ApiError

__all__ = ["FakeLoqua"]


@dataclass
class FakeLoqua:
    """A Loqua API in memory: counts leases, stores arrivals, fails when a test says so.

    Attributes:
        held: Leases per caller.
        leased: How many leases were ever given.
        arrived: `("in_progress", session id)` and the like, in order of arrival.
        records: The records that arrived.
        sent: Progress that arrived, by session id.
        keys: The idempotency keys that came with it all.
        known: Session ids that the learner's history shows.
        remembers: What it remembers of every learner.
        failing: Called with a method's name and the caller; gives the error to raise.
        gates: Methods that wait for an event first.
    """

    held: dict[Caller, int] = field(default_factory=dict)
    leased: int = 0
    arrived: list[tuple[str, str]] = field(default_factory=list)
    records: list[SessionRecord] = field(default_factory=list)
    sent: dict[str, list[Progress]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    begun: list[float | None] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    remembers: LearnerContext = field(default_factory=LearnerContext)
    asked: list[str] = field(default_factory=list)
    failing: Callable[[str, Caller], ApiError | None] = lambda _method, _caller: None
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    mode: Mode = Mode.FULL
    listeners: list[Callable[[Caller, Mode], None]] = field(default_factory=list)

    async def _enter(self, method: str, caller: Caller) -> None:
        if method in self.gates:
            await self.gates[method].wait()
        error = self.failing(method, caller)
        if error is not None:
            raise error

    async def lease(self, caller: Caller) -> None:
        """Lease a token like the core: a call that raises leases nothing."""
        await self._enter("lease", caller)
        self.leased += 1
        self.held[caller] = self.held.get(caller, 0) + 1

    async def lease_patiently(self, caller: Caller) -> None:
        """Lease a token when the event is set."""
        await self._enter("lease_patiently", caller)
        await self.lease(caller)

    def release(self, caller: Caller) -> None:
        """Take a lease back; one that was never given is a mistake."""
        assert self.held.get(caller, 0) > 0, "released what was not leased"
        self.held[caller] -= 1

    async def context(self, caller: Caller) -> Loaded:
        """Return what it remembers."""
        await self._enter("context", caller)
        return Loaded(self.remembers, self.mode)

    def remembered(self, _caller: Caller) -> Loaded:
        """Remember nobody."""
        return Loaded(LearnerContext(), Mode.MOCK)

    async def check_health(self, caller: Caller) -> frozenset[str]:
        """Return no permissions."""
        await self._enter("health", caller)
        return frozenset()

    async def send_progress(
        self, caller: Caller, *, session_id: str, status: str, progress: Progress, key: str
    ) -> None:
        """Take progress."""
        await self._enter("progress", caller)
        self.arrived.append((status, session_id))
        self.sent.setdefault(session_id, []).append(progress)
        self.keys.append(key)

    async def create_session(
        self, caller: Caller, record: SessionRecord, *, key: str, started_at: float | None = None
    ) -> None:
        """Take a record."""
        await self._enter("sessions", caller)
        self.arrived.append(("record", record.session_id))
        self.begun.append(started_at)
        self.records.append(record)
        self.keys.append(key)

    async def session_known(self, caller: Caller, session_id: str) -> bool:
        """Look into the history."""
        await self._enter("context", caller)
        self.asked.append(session_id)
        return session_id in self.known

    def subscribe(self, listener: Callable[[Caller, Mode], None]) -> None:
        """Register the listener of modes."""
        self.listeners.append(listener)

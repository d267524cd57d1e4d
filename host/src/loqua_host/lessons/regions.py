"""The active region, as this host follows it."""

from collections.abc import Callable

import structlog

from loqua_host.core.clock import Clock
from loqua_host.records.ledger import Ledger
from loqua_host.records.regions import RegionReport, RegionState
from loqua_host.settings.regions import RegionSettings

from .dispatch_state import DispatchState

__all__ = ["RegionWatch"]

log = structlog.get_logger()

BREAK = 15.0
"""Seconds without a report after which this host may have missed those of others."""


class RegionWatch:
    """Report this host to the ledger, and keep it on standby while the other region is active.

    Args:
        settings: The regions.
        ledger: Where the regions agree.
        dispatch_state: Learns whether this host stands by.
        clock: The clock.
        ready: Returns whether this host could teach now.

    Attributes:
        state: The state of the regions when it was last read; None before.
    """

    def __init__(
        self,
        settings: RegionSettings,
        ledger: Ledger,
        dispatch_state: DispatchState,
        clock: Clock,
        ready: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.state: RegionState | None = None
        self._ledger = ledger
        self._dispatch_state = dispatch_state
        self._clock = clock
        self._ready = ready
        self._since = self._last = clock.monotonic()

    async def follow(self) -> None:
        """Report this host, and follow which region teaches.

        Call it whenever the lease is renewed. After an outage of the ledger nobody has reported, so
        a host replaces the other region only after it has itself reported for `failover_after`.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        now, after = self._clock.monotonic(), self.settings.failover_after
        if now - self._last > BREAK:
            self._since = now
        may_fail_over = after is not None and now - self._since >= after
        report = RegionReport(
            region=self.settings.here,
            primary=self.settings.primary,
            ready=self._ready(),
            failover_after=after if may_fail_over else None,
        )
        before, self.state = self.state, await self._ledger.report_region(report)
        self._last = self._clock.monotonic()
        if self.state is not None and (before is None or before.active != self.state.active):
            self._change(self.state)

    def _change(self, state: RegionState) -> None:
        here = self.settings.here
        self._dispatch_state.standby = state.active != here
        self._dispatch_state.changed.set()
        write_log = log.info if state.active == self.settings.primary else log.warning
        write_log("region.changed", active=state.active, here=here, standby=state.active != here)

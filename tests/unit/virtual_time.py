"""Virtual time: an event loop that jumps to the next timer instead of waiting for it."""

import asyncio
import selectors

EPOCH = 1_800_000_000.0
"""The wall time, in unix seconds, when a loop is made."""


class JumpingSelector(selectors.SelectSelector):
    """Finds that the next timer is due whenever nothing else happens."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for events; without any, move time to the next timer."""
        if timeout is None:
            raise RuntimeError("every task waits and no timer runs: the test would hang")
        events = super().select(0)
        if not events:
            self.seconds += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour passes in no time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.seconds


class VirtualClock:
    """A clock on virtual time; `skew` sets this machine's wall clock wrong."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        """Return the wall time this machine believes in."""
        return EPOCH + self.monotonic() + self.skew

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)

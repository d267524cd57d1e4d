"""Connection pools without cancelled requests."""

import asyncio

import httpx
import pytest

from loqua_host.core.pools import Pools


class Closable(httpx.AsyncBaseTransport):
    """A transport that reports whether it is open."""

    open = True

    async def aclose(self) -> None:
        """Close it."""
        self.open = False


class Made:
    """A factory of transports."""

    def __init__(self) -> None:
        self.transports: list[Closable] = []

    def __call__(self) -> Closable:
        """Make another."""
        self.transports.append(Closable())
        return self.transports[-1]

    @property
    def open(self) -> list[bool]:
        """Whether each is open, in the order of their creation."""
        return [transport.open for transport in self.transports]


async def call(pools: Pools, end: asyncio.Event) -> httpx.AsyncBaseTransport:
    """Make a call that lasts until an event."""
    async with pools.transport() as http:
        await end.wait()
        return http


@pytest.fixture
def made() -> Made:
    """Return what makes transports."""
    return Made()


async def test_calls_that_end_share_one_pool(made: Made) -> None:
    """Failed ones too: what httpcore ends itself leaves nothing behind."""
    pools, end = Pools(made), asyncio.Event()
    end.set()
    await asyncio.gather(*(call(pools, end) for _ in range(5)))
    with pytest.raises(httpx.ReadTimeout):
        async with pools.transport():
            raise httpx.ReadTimeout("too late")
    assert made.open == [True]
    await pools.aclose()
    assert made.open == [False]


async def test_after_a_cancelled_call_the_next_has_another_pool(made: Made) -> None:
    """The calls still on their way in the old one end in peace; then it closes."""
    pools, end = Pools(made), asyncio.Event()
    staying = asyncio.create_task(call(pools, end))
    cancelled = [asyncio.create_task(call(pools, end)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in cancelled:
        task.cancel()
    await asyncio.wait(cancelled)
    assert made.open == [True, True]
    end.set()
    assert await staying is made.transports[0]
    assert await call(pools, end) is made.transports[1]
    assert made.open == [False, True]
    await pools.aclose()
    assert made.open == [False, False]


async def test_a_time_limit_around_a_call_counts_as_its_cancellation(made: Made) -> None:
    """It is how a hanging API ends a call."""
    pools = Pools(made)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), pools.transport():
            await asyncio.Event().wait()
    assert made.open == [False, True]
    await pools.aclose()


async def test_a_transport_that_broke_is_not_used_again(made: Made) -> None:
    """One that was closed, say, would fail every call from then on."""
    pools = Pools(made)
    with pytest.raises(RuntimeError):
        async with pools.transport():
            raise RuntimeError("closed")
    assert made.open == [False, True]
    await pools.aclose()

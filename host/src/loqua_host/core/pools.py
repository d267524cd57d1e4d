"""Connections for calls, from pools in which no request was ever cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

__all__ = ["Pools"]


@dataclass(eq=False, slots=True)
class _Pool:
    """One client with its connections, and how many calls are on their way through it."""

    http: httpx.AsyncClient
    calls: int = 0


class Pools:
    """Lends each call a client; one in which a request was cancelled is replaced.

    A request that is cancelled on its way may keep its slot in httpcore's pool for good
    (https://github.com/encode/httpcore/issues/1093), and a time limit cancels. So the next
    call gets a pool of its own making, and the old one closes when its last call is over.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._current = _Pool(make())

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client for one call."""
        pool = self._current
        pool.calls += 1
        try:
            yield pool.http
        except asyncio.CancelledError:
            self._replace(pool)
            raise
        finally:
            pool.calls -= 1
            if pool is not self._current and not pool.calls:
                await asyncio.shield(pool.http.aclose())

    async def aclose(self) -> None:
        """Close the present pool; earlier ones close with their last call."""
        await self._current.http.aclose()

    def _replace(self, pool: _Pool) -> None:
        if pool is self._current:
            self._current = _Pool(self._make())

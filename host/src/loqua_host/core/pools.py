"""Connection pools without connections on which a request was cancelled or failed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from loqua_host.errors import ApiError
from loqua_host.observability.faults import log_fault

__all__ = ["Pools"]


@dataclass(eq=False, slots=True)
class _Pool:
    """A transport with its connections, and the number of its calls in progress."""

    http: httpx.AsyncBaseTransport
    calls: int = 0


_HARMLESS = (httpx.HTTPError, ApiError)
"""Errors of httpx itself, and of invalid responses."""


class Pools:
    """A pool of connections, replaced after a cancelled call or any error other than httpx's own.

    A request that is cancelled on its way may keep its slot in httpcore's pool for good
    (https://github.com/encode/httpcore/issues/1093), and a time limit cancels; a transport that
    is broken may stay so. So the next call gets a pool of its own making, and the old one closes
    when its last call is over.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._current = _Pool(make())

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """Yield a transport for one call."""
        pool = self._current
        pool.calls += 1
        try:
            yield pool.http
        except _HARMLESS:
            raise
        except BaseException:
            self._replace(pool)
            raise
        finally:
            pool.calls -= 1
            if pool is not self._current and not pool.calls:
                await asyncio.shield(_close(pool))

    async def aclose(self) -> None:
        """Close the present pool; earlier ones close with their last call."""
        await _close(self._current)

    def _replace(self, pool: _Pool) -> None:
        if pool is self._current:
            self._current = _Pool(self._make())


async def _close(pool: _Pool) -> None:
    """Close a pool's connections; a call that has its answer does not fail for one that cannot."""
    try:
        await pool.http.aclose()
    except Exception as error:  # noqa: BLE001  # TLS and sockets raise what they like
        log_fault("api_pool", error)

"""A TCP proxy in front of LiveKit's server that records workers' keys and can delay data."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import jwt

__all__ = ["LiveKitProxy", "open_livekit_proxy"]

BLOCK = 1 << 16
BEARER = re.compile(rb"^authorization: bearer (\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class LiveKitProxy:
    """A proxy before a LiveKit server.

    Attributes:
        url: Where it is.
        worker_keys: The key that each connection of a worker came with, in their order.
    """

    url: str = ""
    worker_keys: list[str] = field(default_factory=list)
    _workers: list[asyncio.StreamWriter] = field(default_factory=list)
    _held: bytes = b""
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def hold(self, path: str) -> Iterator[None]:
        """Withhold LiveKit's data on connections to a path for the duration of a block.

        Args:
            path: `/agent` for workers, `/rtc` for participants.
        """
        self._held, self._released = f"GET {path}".encode(), asyncio.Event()
        try:
            yield
        finally:
            self._held = b""
            self._released.set()

    async def wait_released(self, head: bytes) -> None:
        """Wait until LiveKit's data on the connection of a request may pass."""
        if self._held and head.startswith(self._held):
            await self._released.wait()

    def cut_workers(self) -> None:
        """End the connections of all workers, as a LiveKit that restarts does."""
        for writer in self._workers:
            writer.close()
        self._workers.clear()

    def note(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        """Record a connection by its request's head."""
        token = BEARER.search(head)
        if head.startswith(b"GET /agent") and token:
            claims = jwt.decode(token[1], options={"verify_signature": False})
            self.worker_keys.append(claims["iss"])
            self._workers.append(writer)


@asynccontextmanager
async def open_livekit_proxy(url: str) -> AsyncIterator[LiveKitProxy]:
    """Yield a proxy before the LiveKit server at `url` for the duration of a block."""
    proxy, behind = LiveKitProxy(), urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            beyond, onward = await asyncio.open_connection(behind.hostname, behind.port)
            proxy.note(head, writer)
            onward.write(head)
            await asyncio.wait(
                [
                    asyncio.create_task(_pass_on(reader, onward)),
                    asyncio.create_task(
                        _pass_on(beyond, writer, partial(proxy.wait_released, head))
                    ),
                ]
            )
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=BLOCK)
    proxy.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


async def _at_once() -> None:
    """Return at once: nothing is withheld."""


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    wait_released: Callable[[], Awaitable[None]] = _at_once,
) -> None:
    try:
        while data := await reader.read(BLOCK):
            await wait_released()
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()

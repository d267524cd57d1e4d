"""A TCP proxy in front of a server, whose connections a bench cuts and restores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["TcpProxy", "open_tcp_proxy"]

BLOCK = 1 << 16


@dataclass(slots=True)
class TcpProxy:
    """A proxy before a server.

    Attributes:
        server: A Unix socket, or host and port; new connections go there.
        address: Where the proxy listens, with its port.
    """

    server: str | tuple[str, int]
    address: str = ""
    _cut: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Forward nothing and close no connection, like a server that hangs."""
        self._open.clear()

    def restore(self) -> None:
        """Forward everything again."""
        self._cut = False
        self._open.set()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction of a connection."""
        self._writers.add(writer)
        with suppress(ConnectionError):
            while not self._cut and (data := await reader.read(BLOCK)):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@asynccontextmanager
async def open_tcp_proxy(
    server: str | tuple[str, int], interface: str = "127.0.0.1"
) -> AsyncIterator[TcpProxy]:
    """Yield a proxy before a server (Unix socket, or host and port) for the duration of a block."""
    proxy = TcpProxy(server)
    proxy.restore()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if proxy._cut:
                raise ConnectionError
            onward = (
                asyncio.open_unix_connection(proxy.server)
                if isinstance(proxy.server, str)
                else asyncio.open_connection(*proxy.server)
            )
            back, forth = await onward
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(proxy.forward(reader, forth), proxy.forward(back, writer))

    listener = await asyncio.start_server(serve, interface, 0)
    proxy.address = f"{interface}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listener.close()
        proxy.cut()

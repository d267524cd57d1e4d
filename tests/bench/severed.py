"""A connection of a host that a rehearsal cuts and heals: a TCP proxy before a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Link", "open_link"]

BLOCK = 1 << 16


@dataclass(slots=True)
class Link:
    """A way to a server.

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
        """Pass nothing on and close no connection, as a server that hangs."""
        self._open.clear()

    def heal(self) -> None:
        """Pass everything on again."""
        self._cut = False
        self._open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one direction of a connection on."""
        self._writers.add(writer)
        with suppress(ConnectionError):
            while not self._cut and (data := await reader.read(BLOCK)):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@asynccontextmanager
async def open_link(
    server: str | tuple[str, int], interface: str = "127.0.0.1"
) -> AsyncIterator[Link]:
    """Yield a way to a server, a Unix socket or host and port, for the length of a block."""
    link = Link(server)
    link.heal()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if link._cut:
                raise ConnectionError
            onward = (
                asyncio.open_unix_connection(link.server)
                if isinstance(link.server, str)
                else asyncio.open_connection(*link.server)
            )
            back, forth = await onward
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(link.carry(reader, forth), link.carry(back, writer))

    listener = await asyncio.start_server(serve, interface, 0)
    link.address = f"{interface}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield link
    finally:
        listener.close()
        link.cut()

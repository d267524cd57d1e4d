"""The dev API's HTTP server."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import create_app
from .settings import DevApiSettings

_LAST_ANSWERS_SECONDS = 1


async def serve(settings: DevApiSettings, *, ready: Callable[[str], None]) -> None:
    """Serve a dev API until cancelled; then no port and no task remains.

    Args:
        settings: Its address and all else.
        ready: Called once with the base URL, such as `http://127.0.0.1:8123`, as soon as
            requests are answered.

    Raises:
        OSError: The port is taken; pick another one, or 0 for a free one.
    """
    with listen(settings.host, settings.port) as listener:
        server = _Server(_config(settings), lambda: ready(_base_url(listener)))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving


def listen(host: str, port: int) -> socket.socket:
    """Return a socket whose connections send without Nagle's delay.

    asyncio sees to that on sockets alone that name their protocol, which these do not: the body of
    an answer would wait for the acknowledgement of its head, which clients delay by 40 ms.
    """
    listener = socket.create_server((host, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _config(settings: DevApiSettings) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings),
        http=_CuttableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, which belong to the process."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _CuttableProtocol(H11Protocol):
    """A connection that faults can cut, and that ends with the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self.app_state = {**self.app_state, "cut": self.transport.abort}

    def shutdown(self) -> None:
        self.transport.abort()

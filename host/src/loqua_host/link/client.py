"""The job's end of the link."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never

import aiohttp
from pydantic import BaseModel

from loqua_host.errors import LinkError

from .messages import (
    ALIVE_SECONDS,
    MAX_MESSAGE_BYTES,
    TO_JOB,
    Alive,
    ToJob,
)

__all__ = ["HostLink", "keepalive", "open_link"]


class HostLink:
    """The connection to the host: messages in, messages out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: BaseModel) -> None:
        """Send a message.

        Raises:
            LinkError: If the host is gone.
        """
        try:
            await self._socket.send_str(message.model_dump_json())
        except ConnectionError as error:
            raise LinkError("the host is gone") from error

    async def receive(self) -> ToJob | None:
        """Return the host's next message; None once the host is gone."""
        frame = await self._socket.receive()
        return TO_JOB.validate_json(frame.data) if frame.type is aiohttp.WSMsgType.TEXT else None


@asynccontextmanager
async def open_link(path: str, token: str) -> AsyncIterator[HostLink]:
    """Open the link at the Unix socket `path` with the job's own room token.

    Raises:
        LinkError: If the host is not there or does not take this job.
    """
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
        try:
            socket = await session.ws_connect(
                "http://host/link",
                headers={"Authorization": f"Bearer {token}"},
                max_msg_size=MAX_MESSAGE_BYTES,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise LinkError(f"the host refused the link with {error.status}") from None
        except aiohttp.ClientError as error:
            raise LinkError(f"the host is not listening on its socket: {error}") from error
        link = HostLink(socket)
        async with socket, keepalive(link):
            yield link


@asynccontextmanager
async def keepalive(link: HostLink) -> AsyncIterator[None]:
    """Report regularly, for the duration of a block, that this job's event loop runs."""
    alive = asyncio.create_task(_stay_alive(link))
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.wait({alive})


async def _stay_alive(link: HostLink) -> Never:
    while True:
        with contextlib.suppress(LinkError):  # whoever receives notices
            await link.send(Alive())
        await asyncio.sleep(ALIVE_SECONDS)

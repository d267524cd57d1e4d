"""The link between host and job in memory."""

import asyncio
from typing import Any

import aiohttp
from aiohttp import WSMessage, WSMsgType

from loqua_host.link.client import HostLink
from loqua_host.link.messages import FROM_JOB, FromJob
from loqua_host.link.server import JobLink, JobRef

__all__ = ["MemoryLink"]


class _Socket:
    """One end of a connection, with the methods of aiohttp's web sockets that the link uses."""

    def __init__(self) -> None:
        self.closed = False
        self.inbox: asyncio.Queue[WSMessage] = asyncio.Queue()
        self.other = self

    async def send_str(self, text: str) -> None:
        """Send a text to the other end."""
        if self.closed:
            raise aiohttp.ClientConnectionResetError("the connection is closed")
        self.other.inbox.put_nowait(WSMessage(WSMsgType.TEXT, text, None))

    async def receive(self, timeout: float | None = None) -> WSMessage:  # noqa: ASYNC109  # aiohttp's
        """Return what the other end sent."""
        async with asyncio.timeout(timeout):
            return await self.inbox.get()

    async def close(self, **_: Any) -> bool:
        """Close both ends."""
        for end in (self, self.other):
            if not end.closed:
                end.closed = True
                end.inbox.put_nowait(WSMessage(WSMsgType.CLOSED, None, None))
        return True


class _JobSocket(_Socket):
    """The job's end, which records what it sends."""

    def __init__(self, sent: list[FromJob]) -> None:
        super().__init__()
        self._sent = sent

    async def send_str(self, text: str) -> None:
        await super().send_str(text)
        self._sent.append(FROM_JOB.validate_json(text))


class MemoryLink:
    """The two ends of the link of one job.

    Args:
        job: The job.
        sent: Where what the job sends is noted.

    Attributes:
        host: The job's end, which leads to the host.
        job: The host's end, which leads to the job.
    """

    def __init__(self, job: JobRef, sent: list[FromJob]) -> None:
        near, far = _JobSocket(sent), _Socket()
        near.other, far.other = far, near
        self._near = near
        self.host = HostLink(near)  # type: ignore[arg-type]  # as it is over a Unix socket
        self.job = JobLink(job, far, lambda: None, lambda: 0.0)  # type: ignore[arg-type]  # likewise

    async def cut(self) -> None:
        """Cut the connection, as the end of a process does."""
        await self._near.close()

"""The host's end of the link: a Unix socket that takes one connection per accepted job."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiolimiter import AsyncLimiter
from pydantic import BaseModel, ValidationError

from loqua_host.errors import LinkError
from loqua_host.observability.faults import log_fault
from loqua_host.system.processor import seconds_waited

from .messages import (
    ALIVE_SECONDS,
    FROM_JOB,
    MAX_MESSAGE_BYTES,
    Alive,
    FromJob,
    ProgressRefused,
    reasons_of,
)
from .probe import ALIVE_PATH

__all__ = ["Authorise", "JobLink", "JobRef", "serve_link"]

log = structlog.get_logger()

MESSAGES_PER_SECOND = 20
"""Messages per second that are read from a job; a lesson sends fewer."""

MAX_MALFORMED = 20
"""Malformed messages after which the connection is closed."""

SEND_SECONDS = 5.0
"""Seconds after which a job that does not read is disconnected."""

MAX_SILENCES = 5
"""Periods of `ALIVE_SECONDS` without a message, after which a job's event loop counts as blocked.

Each period is awaited separately, so that a host that was itself suspended blames no job. One in
which the job mostly waited for a processor does not count.
"""

CLOSE_SECONDS = 1.0
"""Seconds that a closed link waits for the job's close frame."""

SHUTDOWN_SECONDS = 5.0
"""Seconds that the server waits at its end for lessons to be closed in the ledger."""


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job that this host accepted, with its room and tutor."""

    job_id: str
    room: str
    tutor: str

    @property
    def agent(self) -> str:
        """The identity that LiveKit gives it in its room."""
        return f"agent-{self.job_id}"


Authorise = Callable[[str, int], JobRef]
"""A function that returns the job of a token and of the pid at the socket, or raises LinkError."""


class JobLink:
    """The connection to one job: messages in, messages out.

    Args:
        job: The job.
        socket: The connection.
        kill: Kills the job's process.
        waited: Returns the seconds for which the job has waited for a processor.

    Attributes:
        tap: Called with each message of either direction, `Alive` excepted.
    """

    def __init__(
        self,
        job: JobRef,
        socket: web.WebSocketResponse,
        kill: Callable[[], None],
        waited: Callable[[], float],
    ) -> None:
        self.job = job
        self._socket = socket
        self._kill, self._waited = kill, waited
        self._pace = AsyncLimiter(MESSAGES_PER_SECOND, 1)
        self._flooding = False
        self._malformed = 0
        self.tap: Callable[[BaseModel], None] = lambda _: None
        self._log = log.bind(job_id=job.job_id, tutor=job.tutor, room=job.room)

    async def send(self, message: BaseModel) -> None:
        """Send a message; a job that is gone gets none, and that is no error here."""
        if self._socket.closed:
            return
        self.tap(message)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_str(message.model_dump_json())
        except TimeoutError:
            self._log.error("link.closed", why="the job does not read its messages")
            await self.close()
        except ConnectionError:
            self._log.info("link.lost")

    async def receive(self) -> FromJob | None:
        """Return the next well-formed message; None once the job is gone.

        A malformed message is refused with a log line that names the field, and the
        connection goes on until there were too many. A job whose event loop stands still
        is killed.
        """
        while self._malformed < MAX_MALFORMED:
            frame = await self._next_frame()
            if frame is None:
                self._log.error("job.hung", hint="see the hook and line in job.hung before")
                self._kill()
                await self.close()
                return None
            if frame.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                return None
            if frame.type is WSMsgType.ERROR:
                self._log.warning("link.refused", why=str(self._socket.exception() or frame.data))
                return None
            await self._slow_down()
            if frame.type is not WSMsgType.TEXT:
                await self._refuse("message: is not text")
                continue
            try:
                message = FROM_JOB.validate_json(frame.data)
            except ValidationError as error:
                await self._refuse(reasons_of(error))
                continue
            if not isinstance(message, Alive):
                self.tap(message)
                return message
        self._log.error("link.closed", why="too many malformed messages")
        return None

    async def close(self) -> None:
        """Close the connection; the receiver learns that the job is gone."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY, drain=False)

    async def _next_frame(self) -> WSMessage | None:
        silences = 0
        while silences < MAX_SILENCES:
            waited = self._waited()
            with suppress(TimeoutError):
                return await self._socket.receive(timeout=ALIVE_SECONDS)
            silences += self._waited() - waited < ALIVE_SECONDS / 2
        return None

    async def _slow_down(self) -> None:
        if not self._flooding and not self._pace.has_capacity():
            self._flooding = True
            self._log.warning("link.flooding", read_per_second=MESSAGES_PER_SECOND)
        await self._pace.acquire()

    async def _refuse(self, why: str) -> None:
        self._malformed += 1
        self._log.warning("link.message_refused", why=why)
        await self.send(ProgressRefused(why=why))


def _peer_pid(request: web.Request) -> int:
    """Return the pid that connected, from the kernel (SO_PEERCRED, unix(7))."""
    peer = request.get_extra_info("socket")
    pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


@contextmanager
def _killing(pid: int) -> Iterator[Callable[[], None]]:
    """Yield what kills this process, and no other that may have its number later."""
    process = os.pidfd_open(pid)
    try:
        yield lambda: _kill(process)
    finally:
        os.close(process)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


async def _serve_link(serve: Callable[[JobLink], Awaitable[None]], link: JobLink) -> None:
    """Serve one link; what goes wrong unforeseen is that lesson's, and its words stay unsaid."""
    try:
        await serve(link)
    except Exception as error:  # noqa: BLE001  # aiohttp would log it with its message
        log_fault("link", error, job_id=link.job.job_id, tutor=link.job.tutor)


@asynccontextmanager
async def serve_link(
    listener: socket.socket,
    *,
    authorise: Authorise,
    serve: Callable[[JobLink], Awaitable[None]],
) -> AsyncIterator[None]:
    """Take links at a Unix socket for the length of a block.

    Args:
        listener: The socket, which listens.
        authorise: Says which job a token belongs to; LinkError refuses the connection.
        serve: Serves one link from `Join` to its end.

    At its end every link is closed, and each `serve` has a while to close its lesson.
    """
    links: dict[str, JobLink] = {}

    async def accept(request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        pid = _peer_pid(request)
        try:
            job = authorise(token, pid)
        except LinkError as error:
            log.warning("link.refused", why=str(error), pid=pid)
            raise web.HTTPForbidden from None
        if job.job_id in links:
            log.warning("link.refused", why="this job is already connected", pid=pid)
            raise web.HTTPConflict
        ws = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSE_SECONDS)
        with _killing(pid) as kill:
            links[job.job_id] = JobLink(job, ws, kill, partial(seconds_waited, pid))
            try:
                await ws.prepare(request)
                await _serve_link(serve, links[job.job_id])
                await ws.close()
            finally:
                del links[job.job_id]
        return ws

    async def hang_up(_app: web.Application) -> None:
        await asyncio.gather(*(link.close() for link in links.values()))

    app = web.Application()
    app.on_shutdown.append(hang_up)
    app.router.add_get("/link", accept)
    app.router.add_get(ALIVE_PATH, _say_alive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await asyncio.shield(runner.cleanup())


async def _say_alive(_request: web.Request) -> web.Response:
    return web.Response(status=204)

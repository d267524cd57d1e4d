"""Attacks of a hostile tutor over the link."""

import gc
import json
import logging
import os
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from livekit import api
from livekit.agents import get_job_context
from livekit.agents.ipc.log_queue import LogQueueHandler
from livekit.agents.ipc.proc_client import _ProcClient
from livekit.agents.ipc.proto import InferenceRequest

from loqua_host import Lesson
from loqua_host.link.client import HostLink

from .script import Attack

__all__ = ["attack"]

PRIVATE = ("environ", "mem", "maps", "fd/0")
FLOOD = 100
OVERSIZE = 5_000_000


async def attack(kind: Attack, lesson: Lesson, directory: Path) -> str:
    """Run an attack; return HTTP statuses or the number of messages that were sent."""
    return await ATTACKS[kind](lesson, directory)


def _link() -> tuple[HostLink, aiohttp.ClientWebSocketResponse]:
    [link] = (found for found in gc.get_objects() if isinstance(found, HostLink))
    return link, link._socket


def _socket_path() -> str:
    [path] = {found.path for found in gc.get_objects() if isinstance(found, aiohttp.UnixConnector)}
    return path


async def _try_token(token: str) -> str:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(_socket_path())) as session:
        try:
            async with session.ws_connect(
                "http://host/link", headers={"Authorization": f"Bearer {token}"}
            ):
                return "let in"
        except aiohttp.WSServerHandshakeError as error:
            return str(error.status)


async def _second(_lesson: Lesson, directory: Path) -> str:
    """Connect once more with its own token, and leave the token for an accomplice."""
    token = get_job_context()._info.token
    (directory / "stolen").write_text(token)
    return await _try_token(token)


async def _stolen(_lesson: Lesson, directory: Path) -> str:
    """Connect with another job's token."""
    return await _try_token((directory / "stolen").read_text())


async def _send(*messages: str) -> str:
    _, socket = _link()
    for message in messages:
        await socket.send_str(message)
    return str(len(messages))


async def _flood(_lesson: Lesson, _directory: Path) -> str:
    return await _send(*[_progress(words_learned=1)] * FLOOD)


async def _oversized(_lesson: Lesson, _directory: Path) -> str:
    return await _send(json.dumps({"type": "checkpoint", "padding": "x" * OVERSIZE}))


async def _malformed(_lesson: Lesson, _directory: Path) -> str:
    return await _send(
        "{", "[]", '{"type":"welcome"}', '{"type":"checkpoint","seconds":-1}', "\x00" * 10
    )


async def _nan(_lesson: Lesson, _directory: Path) -> str:
    return await _send(_progress(pronunciation_score=float("nan")), _progress(words_learned=10**9))


async def _rejoin(_lesson: Lesson, _directory: Path) -> str:
    return await _send(json.dumps({"type": "join", "identity": "somebody-else"}))


class _Bomb:
    """An object that leaves a mark in the process that unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


async def _channels(_lesson: Lesson, directory: Path) -> str:
    """Send over LiveKit's own channels what it would run, and what it would choke on."""
    [log] = (it for it in logging.getLogger().handlers if isinstance(it, LogQueueHandler))
    [client] = (found for found in gc.get_objects() if isinstance(found, _ProcClient))
    sent = [pickle.dumps(_Bomb(directory / "ran")), b"\x80", b"{}", b"[" * 100_000]
    for frame in sent:
        log._send_q.put_nowait(frame)
    for number in range(FLOOD):
        await client.send(InferenceRequest("none", str(number), b"x" * 10_000))
    return str(len(sent))


async def _siblings(_lesson: Lesson, _directory: Path) -> str:
    """Read the memory and environment of all other jobs."""
    return _opened([f"/proc/{pid}/{name}" for pid in _other_jobs() for name in PRIVATE])


async def _host(_lesson: Lesson, _directory: Path) -> str:
    """Read the memory and environment of the host, which started the jobs' parent."""
    return _opened([f"/proc/{_parent(os.getppid())}/{name}" for name in PRIVATE])


async def _guessed(_lesson: Lesson, _directory: Path) -> str:
    """Connect with a token of its own making that names its job."""
    claims = {"iss": "devkey", "sub": f"agent-{get_job_context().job.id}"}
    return await _try_token(jwt.encode(claims, "secret" * 8))


async def _rooms(_lesson: Lesson, _directory: Path) -> str:
    """List all of LiveKit's rooms with the job's own token."""
    info = get_job_context()._info
    async with api.LiveKitAPI.with_token(info.token, info.url) as livekit:
        try:
            return str(await livekit.room.list_rooms(api.ListRoomsRequest()))
        except api.TwirpError as error:
            return error.code


async def _webhook(lesson: Lesson, directory: Path) -> str:
    """Send the host a webhook that is signed with the job's own token."""
    event = {"event": "participant_joined", "room": {"name": lesson.room}}
    url = (directory / "webhook").read_text()
    headers = {"Authorization": get_job_context()._info.token}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=event, headers=headers) as answer,
    ):
        return str(answer.status)


async def _all(lesson: Lesson, directory: Path) -> str:
    """Try one after another whatever the lesson outlives."""
    tried: tuple[Attack, ...] = (
        "guessed",
        "second",
        "rejoin",
        "host",
        "siblings",
        "channels",
        "rooms",
        "webhook",
    )
    return json.dumps({kind: await ATTACKS[kind](lesson, directory) for kind in tried})


def _opened(files: list[str]) -> str:
    return f"{sum(_opens(file) for file in files)} opened" if files else "nobody there"


def _other_jobs() -> list[int]:
    running = [int(it.name) for it in Path("/proc").iterdir() if it.name.isdigit()]
    return [pid for pid in running if pid != os.getpid() and _parent(pid) == os.getppid()]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _opens(file: str) -> bool:
    try:
        with Path(file).open("rb"):
            return True
    except OSError:
        return False


def _progress(**figures: float) -> str:
    return json.dumps({"type": "checkpoint", "seconds": 1, "progress": figures})


ATTACKS: dict[Attack, Callable[[Lesson, Path], Awaitable[str]]] = {
    "second": _second,
    "stolen": _stolen,
    "flood": _flood,
    "oversized": _oversized,
    "malformed": _malformed,
    "nan": _nan,
    "rejoin": _rejoin,
    "channels": _channels,
    "siblings": _siblings,
    "host": _host,
    "guessed": _guessed,
    "rooms": _rooms,
    "webhook": _webhook,
    "all": _all,
}

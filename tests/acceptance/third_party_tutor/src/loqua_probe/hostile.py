"""What a hostile tutor may try over the link, with all that its own process holds."""

import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from livekit.agents import get_job_context

from loqua_host import Lesson
from loqua_host.link.client import HostLink

from .script import Attack

__all__ = ["attack"]

FLOOD = 200
OVERSIZE = 5_000_000


async def attack(kind: Attack, lesson: Lesson, directory: Path) -> str:
    """Attack, and give what came back: HTTP statuses or how many messages were sent."""
    return await ATTACKS[kind](lesson, directory)


def _link() -> tuple[HostLink, aiohttp.ClientWebSocketResponse]:
    [link] = (found for found in gc.get_objects() if isinstance(found, HostLink))
    return link, link._socket


def _socket_path() -> str:
    [path] = {found.path for found in gc.get_objects() if isinstance(found, aiohttp.UnixConnector)}
    return path


async def _knock(token: str) -> str:
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
    return await _knock(token)


async def _stolen(_lesson: Lesson, directory: Path) -> str:
    """Connect with another job's token."""
    return await _knock((directory / "stolen").read_text())


async def _send(*messages: str) -> str:
    _, socket = _link()
    for message in messages:
        await socket.send_str(message)
    return str(len(messages))


async def _flood(_lesson: Lesson, _directory: Path) -> str:
    return await _send(*[_progress(words_learned=1)] * FLOOD)


async def _oversized(_lesson: Lesson, _directory: Path) -> str:
    return await _send(json.dumps({"type": "progress", "padding": "x" * OVERSIZE}))


async def _malformed(_lesson: Lesson, _directory: Path) -> str:
    return await _send(
        "{", "[]", '{"type":"welcome"}', '{"type":"progress","seconds":-1}', "\x00" * 10
    )


async def _nan(_lesson: Lesson, _directory: Path) -> str:
    return await _send(_progress(pronunciation_score=float("nan")), _progress(words_learned=10**9))


async def _rejoin(_lesson: Lesson, _directory: Path) -> str:
    return await _send(json.dumps({"type": "join", "identity": "somebody-else"}))


def _progress(**figures: float) -> str:
    return json.dumps({"type": "progress", "seconds": 1, "progress": figures})


ATTACKS: dict[Attack, Callable[[Lesson, Path], Awaitable[str]]] = {
    "second": _second,
    "stolen": _stolen,
    "flood": _flood,
    "oversized": _oversized,
    "malformed": _malformed,
    "nan": _nan,
    "rejoin": _rejoin,
}

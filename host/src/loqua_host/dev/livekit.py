"""A LiveKit server on loopback for a demo or a test session."""

import asyncio
import json
import os
import secrets
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import urlsplit

import aiohttp
from livekit import api

from .child import dying_with_parent
from .livekit_binary import LiveKitUnavailableError, Say, livekit_binary
from .ports import free_port

__all__ = ["LiveKitServer", "LiveKitUnavailableError", "run_livekit"]

READY_TRIES = 60  # about half a minute, slowing down from 10 ms


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """The address and API key of a LiveKit server, which others may use too."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)
    spare_keys: Mapping[str, str] = field(default_factory=dict, repr=False)


class _PortTakenError(LiveKitUnavailableError):
    """Another process took the port between its choice and the server's start."""


@asynccontextmanager
async def run_livekit(
    *,
    webhook: str | None = None,
    log: Path | None = None,
    empty_timeout: int = 300,
    departure_timeout: int = 20,
    again: LiveKitServer | None = None,
    redis: str | None = None,
    say: Say = print,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[LiveKitServer]:
    """Yield a running LiveKit server, and stop it at the end of the block.

    With `LIVEKIT_URL` set, that server is used and none is started; `webhook`,
    `log` and the timeouts then have no effect.

    Args:
        webhook: URL to which the server posts events of rooms and participants.
        log: File for the server's own log (JSON lines); without it the log is dropped.
        empty_timeout: Seconds until a room that nobody entered is closed.
        departure_timeout: Seconds until a room that everybody left is closed.
        again: A server that has ended and is to be there again, at its address with its key.
        redis: Address of the Redis by which servers form a cluster, such as `127.0.0.1:6379`.
        say: Takes a line about whatever takes longer than a second.
        environ: Where LIVEKIT_*, PATH and XDG_CACHE_HOME are read.

    Raises:
        LiveKitUnavailableError: No server can be had; the message says what to do.
    """
    if url := environ.get("LIVEKIT_URL"):
        yield _given(url, environ)
        return
    binary = await livekit_binary(say, environ)
    room = {"empty_timeout": empty_timeout, "departure_timeout": departure_timeout}
    settings: dict[str, object] = {"room": room} | ({"redis": {"address": redis}} if redis else {})
    with log.open("w+b") if log else TemporaryFile() as output:
        try:
            server, process = await _start(
                binary, again or _new_server(), settings, webhook, output
            )
        except _PortTakenError:
            server, process = await _start(
                binary, again or _new_server(), settings, webhook, output
            )
        try:
            yield server
        finally:
            await _end(process)


def _given(url: str, environ: Mapping[str, str]) -> LiveKitServer:
    key, secret = environ.get("LIVEKIT_API_KEY"), environ.get("LIVEKIT_API_SECRET")
    if not (key and secret):
        raise LiveKitUnavailableError(
            "LIVEKIT_URL is set: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET with it, "
            "or unset it to have a server started"
        )
    return LiveKitServer(url, key, secret)


def _new_server() -> LiveKitServer:
    return LiveKitServer(
        f"ws://127.0.0.1:{free_port()}", f"API{secrets.token_hex(8)}", secrets.token_urlsafe(40)
    )


async def _start(
    binary: Path,
    server: LiveKitServer,
    settings: Mapping[str, object],
    webhook: str | None,
    output: IO[bytes],
) -> tuple[LiveKitServer, Process]:
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(str(binary)),
        env=_environment(server, _config(server, settings, webhook)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # the terminal's Ctrl-C is for us, who then end the server
    )
    try:
        await _until_ready(server, process, output)
    except BaseException:
        await _end(process)
        raise
    return server, process


def _config(
    server: LiveKitServer, settings: Mapping[str, object], webhook: str | None
) -> dict[str, object]:
    """Return the server's config; keys: github.com/livekit/livekit config-sample.yaml."""
    return {
        "port": urlsplit(server.url).port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "udp_port": free_port(socket.SOCK_DGRAM),
            "tcp_port": 0,  # its listener would take every interface
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            "ips": {"includes": ["127.0.0.1/32"]},
        },
        "logging": {"json": True, "level": "info"},
        "webhook": {"api_key": server.api_key, "urls": [webhook]} if webhook else {},
        **settings,
    }


def _environment(server: LiveKitServer, config: dict[str, object]) -> dict[str, str]:
    """Return the server's whole environment, which unlike arguments others cannot read."""
    return {
        "LIVEKIT_CONFIG": json.dumps(config),  # JSON is YAML
        "LIVEKIT_KEYS": json.dumps({server.api_key: server.api_secret, **server.spare_keys}),
    }


async def _until_ready(server: LiveKitServer, process: Process, output: IO[bytes]) -> None:
    """Return when the server accepts its key, which another program on its port would not."""
    pause = 0.01
    async with api.LiveKitAPI(
        server.url, server.api_key, server.api_secret, timeout=aiohttp.ClientTimeout(total=2)
    ) as livekit:
        for _ in range(READY_TRIES):
            if await _answers(livekit):
                return
            if process.returncode is not None:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
    raise _failure(output)


async def _answers(livekit: api.LiveKitAPI) -> bool:
    try:
        await livekit.room.list_rooms(api.ListRoomsRequest())
    except (aiohttp.ClientError, api.TwirpError, TimeoutError):
        return False
    return True


def _failure(output: IO[bytes]) -> LiveKitUnavailableError:
    output.seek(0)
    said = output.read().decode(errors="replace")
    taken = "address already in use" in said
    return (_PortTakenError if taken else LiveKitUnavailableError)(
        f"livekit-server did not start; it said:\n{said[-2000:]}\n"
        "Hint that, or set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET to those of "
        "a running server"
    )


async def _end(process: Process) -> None:
    """Kill: asked politely, the server waits for the last participant; it has nothing to save."""
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()

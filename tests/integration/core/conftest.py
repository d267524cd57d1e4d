"""A small Loqua API on a real socket, and a proxy in front of it that injects faults."""

import asyncio
import base64
import json
import re
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi

SECRET = "a-shared-secret"


def encrypted_jwt(lifetime: float) -> str:
    """Return a JWT of that many seconds, encrypted as the API does."""
    parts = [{"alg": "HS256"}, {"exp": time.time() + lifetime}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    padder = PKCS7(128).padder()
    padded = padder.update(b".".join([*coded, b"signature"])) + padder.finalize()
    iv = bytes(range(16))
    encryptor = Cipher(AES(SECRET.encode().ljust(32, b"\0")), CBC(iv)).encryptor()
    return f"{iv.hex()}:{(encryptor.update(padded) + encryptor.finalize()).hex()}"


@dataclass
class Backend:
    """The requests that reached the API: bodies by endpoint, in order."""

    taken: dict[str, list[Any]] = field(default_factory=dict)

    def copies(self, endpoint: str) -> int:
        """Count what reached one endpoint."""
        return len(self.taken.get(endpoint, []))

    async def post(self, request: web.Request) -> web.Response:
        """Take a POST as the guide says."""
        body = await request.json()
        endpoint = request.path.rpartition("/")[2]
        self.taken.setdefault(endpoint, []).append(body)
        if endpoint != "user-token":
            return web.json_response({"success": True})
        answer = {
            "encrypted_token": encrypted_jwt(3600),
            "user_id": body["user_id"],
            "room_name": body["room_name"],
            "issued_to": body["agent_id"],
            "expires_in": 3600,
        }
        return web.json_response(answer)

    async def context(self, request: web.Request) -> web.Response:
        """Return a learner's context with all records so far as history."""
        self.taken.setdefault("context", []).append(None)
        history = [{"session_id": record["sessionId"]} for record in self.taken.get("sessions", [])]
        user_id = request.match_info["user_id"]
        return web.json_response({"user_id": user_id, "session_history": history})


@dataclass
class FaultProxy:
    """A proxy that forwards requests and answers, except for injected faults."""

    upstream: int
    faults: deque[str] = field(default_factory=deque)
    always: str | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while await self._validated(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _validated(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _message(reader)
        fault = self.always or (self.faults.popleft() if self.faults else "none")
        if fault == "reset before":
            return _reset(writer)
        if fault in _GARBAGE:
            writer.write(_GARBAGE[fault])
            return False
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        up_writer.write(request)
        answer = await _message(up_reader)
        up_writer.close()
        if fault == "reset after":
            return _reset(writer)
        if fault == "truncate":
            writer.write(answer[:-5])
            return False
        if fault == "delay":
            await asyncio.sleep(3)
        for byte in answer if fault == "drip" else ():
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        writer.write(b"" if fault == "drip" else answer)
        return True


_GARBAGE = {
    "garbage": b"\x16\x03\x01\x00\xff\r\n\r\n",
    "html": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    "busy": b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "broken": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "not there": b"HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n404 page not found",
    "blocked": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nBlocked",
    "unauthorized": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
}


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


def _reset(writer: asyncio.StreamWriter) -> bool:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    return False


@pytest.fixture
async def backend() -> Backend:
    """Return the API's side of the wire."""
    return Backend()


@pytest.fixture
async def backend_port(backend: Backend) -> AsyncIterator[int]:
    """Serve the API on a free port of this machine."""
    app = web.Application()
    app.router.add_post("/api/v1/agent/{endpoint}", backend.post)
    app.router.add_get("/api/v1/agent/user/{user_id}/context", backend.context)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def proxy(backend_port: int) -> FaultProxy:
    """Return the faults between host and API."""
    return FaultProxy(backend_port)


@pytest.fixture
async def proxy_port(proxy: FaultProxy) -> AsyncIterator[int]:
    """Serve the proxy on a free port of this machine."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


Opener = Callable[..., AbstractAsyncContextManager[LoquaApi]]


@pytest.fixture
def open_api() -> Opener:
    """Return the function that opens the core towards a port, with real connections."""

    def opened(port: int, **settings: object) -> AbstractAsyncContextManager[LoquaApi]:
        quick = {"attempt_timeout": 10, "connect_timeout": 10, "deadline": 14, "backoff": 0.02}
        return LoquaApi.open(
            CoreSettings.model_validate(
                {"api_base_url": f"http://127.0.0.1:{port}", **quick, **settings}
            ),
            EnvironmentSecrets({"AGENT_JWT_TOKEN": "agent", "SHARED_SECRET": SECRET}),
        )

    return opened

"""Servers that a bench kills and restarts at the same address."""

import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.dev.parts import run_child


@dataclass(slots=True)
class RestartableLiveKit:
    """A LiveKit server that can be killed and started again."""

    server: LiveKitServer
    _running: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def run(cls) -> AsyncIterator["RestartableLiveKit"]:
        """Run it for the length of a block."""
        environ = {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}
        async with AsyncExitStack() as running:
            server = await running.enter_async_context(run_livekit(environ=environ))
            yield cls(server, running)

    async def restart(self) -> None:
        """Kill it and start it again."""
        await self._running.aclose()
        await self._running.enter_async_context(run_livekit(again=self.server))


@dataclass(slots=True)
class RestartableSpeech:
    """A speech server that can be killed and started again."""

    url: str
    _running: AsyncExitStack
    _process: Process

    @classmethod
    @asynccontextmanager
    async def run(cls) -> AsyncIterator["RestartableSpeech"]:
        """Run it for the length of a block."""
        async with AsyncExitStack() as running:
            process, url = await cls._start(running, "0")
            yield cls(url, running, process)

    async def restart(self) -> None:
        """Kill it and start it again."""
        self._process.kill()
        await self._process.wait()
        port = self.url.rpartition(":")[2]
        self._process, _ = await self._start(self._running, port)

    @staticmethod
    async def _start(running: AsyncExitStack, port: str) -> tuple[Process, str]:
        command = (sys.executable, "-m", "loqua_speech", "--port", port)
        child = run_child(*command, stdout=PIPE, stderr=DEVNULL, environ={**os.environ})
        process = await running.enter_async_context(child)
        assert process.stdout is not None
        return process, json.loads(await process.stdout.readline())["url"]

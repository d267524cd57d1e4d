"""The compared systems: loqua-host and its alternatives."""

import asyncio
import os
import platform
import subprocess
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil
import yaml
from tests.bench.processes import cpu_seconds
from tests.integration.host.conftest import START_PATIENCE, Deployment, replace_text

from loqua_host.dev.livekit_binary import cache_directory
from loqua_host.dev.parts import run_child
from loqua_host.job.voice.turn_ends import UNEXPECTED
from loqua_host.system.tasks import background

__all__ = ["PEERS", "LoquaHost", "RunningSystem", "System", "install_peers"]

PEERS = Path(__file__).parent / "peers"
"""The directory of the common agent and engines, and of the other systems' programs."""

LIVEKIT_AGENTS = "livekit-agents==1.8.9"
OPENRTC = "openrtc==0.20.1"


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """A system whose tutors are registered.

    Attributes:
        roots: The processes that were started.
        seconds: How long it took from the start to the last registration.
    """

    roots: Sequence[psutil.Process]
    seconds: float

    def cpu(self) -> float:
        """Return the processor seconds so far."""
        return cpu_seconds(self.roots)

    def kill(self) -> None:
        """Kill what was started; what that has started in turn sees to itself."""
        for root in self.roots:
            root.kill()


class System(Protocol):
    """A system that runs tutors."""

    @property
    def name(self) -> str:
        """Its name in the table."""

    def agent_name(self, tutor: str) -> str:
        """Return the agent name to dispatch for a tutor."""

    def run(
        self, deployment: Deployment, directory: Path, tutors: Sequence[str]
    ) -> AbstractAsyncContextManager[RunningSystem]:
        """Run tutors for the length of a block, once all are registered."""


@dataclass(frozen=True, slots=True)
class LoquaHost:
    """One host for all tutors, each a LiveKit agent without a plugin of its own.

    Attributes:
        port: Where it answers and takes LiveKit's webhooks; 0 for one that LiveKit does not know.
    """

    name: str
    port: int = 0

    def agent_name(self, tutor: str) -> str:
        """Return the agent name to dispatch for a tutor."""
        return tutor

    @asynccontextmanager
    async def run(
        self, deployment: Deployment, directory: Path, tutors: Sequence[str]
    ) -> AsyncIterator[RunningSystem]:
        """Run tutors for the length of a block, once all are registered."""
        config = _write_config(directory, tutors, self.port)
        began = time.monotonic()
        async with deployment.run(config) as host:
            yield RunningSystem([psutil.Process(host.pid)], time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Peer:
    """Programs that register with LiveKit by themselves.

    Attributes:
        python: The interpreter of an environment that has the peer and nothing of ours.
        program: A file in `peers`.
        dispatched: Who is dispatched, if that is one name for all tutors; else each tutor has a
            program of its own.
        isolation: The mode of openrtc.
    """

    name: str
    python: Path
    program: str
    dispatched: str = ""
    isolation: str = ""

    def agent_name(self, tutor: str) -> str:
        """Return the agent name to dispatch for a tutor."""
        return self.dispatched or tutor

    @asynccontextmanager
    async def run(
        self, deployment: Deployment, directory: Path, tutors: Sequence[str]
    ) -> AsyncIterator[RunningSystem]:
        """Run tutors for the length of a block, once all are registered."""
        del directory
        began = time.monotonic()
        async with AsyncExitStack() as stack, background() as tasks:
            each = [" ".join(tutors)] if self.dispatched else tutors
            workers = [
                await stack.enter_async_context(self._worker(deployment, names)) for names in each
            ]
            async with asyncio.timeout(START_PATIENCE):
                await asyncio.gather(*map(_registered, workers))
            seconds = time.monotonic() - began
            for worker in workers:
                tasks.create_task(_drop_output(worker))
            yield RunningSystem([psutil.Process(worker.pid) for worker in workers], seconds)

    @asynccontextmanager
    async def _worker(self, deployment: Deployment, tutors: str) -> AsyncIterator[Process]:
        livekit = deployment.livekit
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PEERS),
            "BENCH_TUTORS": tutors,
            "BENCH_ISOLATION": self.isolation,
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
        }
        command = (str(self.python), str(PEERS / self.program), "start")
        async with run_child(*command, stdout=PIPE, stderr=STDOUT, environ=environ) as worker:
            try:
                yield worker
            finally:
                _kill_tree(worker.pid)  # asked politely, it waits for its rooms


def install_peers() -> list[System]:
    """Install the peers from the package index, each in a cached environment of its own."""
    bare = _install(LIVEKIT_AGENTS)
    openrtc = _install(OPENRTC, LIVEKIT_AGENTS, "uvloop")
    return [
        Peer("livekit-agents", bare, "bare_worker.py"),
        *(
            Peer(f"openrtc, {mode}", openrtc, "openrtc_worker.py", "openrtc", mode)
            for mode in ("process", "coroutine")
        ),
    ]


def _install(*packages: str) -> Path:
    name = f"{packages[0]}-python-{platform.python_version()}"
    environment = cache_directory(os.environ) / "bench" / name
    python = environment / "bin/python"
    if not python.exists():
        _uv("venv", "--python", sys.executable, environment)
    # Compiled as ours is after its first run: else the first start of a peer takes far longer.
    _uv("pip", "install", "--compile-bytecode", "--python", python, *packages)
    return python


def _uv(*words: object) -> None:
    command = [os.environ.get("UV", "uv"), *map(str, words), "--quiet"]
    subprocess.run(command, check=True)  # noqa: S603  # as CONTRIBUTING.md sets it up


async def _registered(worker: Process) -> None:
    assert worker.stdout is not None
    log = b""
    while line := await worker.stdout.readline():
        log += line
        if b"registered worker" in line:
            return
    raise AssertionError(f"a worker did not start: {log[-2000:].decode(errors='replace')}")


async def _drop_output(worker: Process) -> None:
    assert worker.stdout is not None
    while await worker.stdout.read(65536):
        pass


def _kill_tree(pid: int) -> None:
    try:
        worker = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    for one in (worker, *worker.children(recursive=True)):
        one.kill()


def _write_config(directory: Path, tutors: Sequence[str], port: int) -> Path:
    config = directory / "config"
    (config / "tutors").mkdir(parents=True, exist_ok=True)
    host = {
        "engines": {
            "stt": {"use": "bench_agent:OneSentence"},
            "tts": {"use": "bench_agent:Hum"},
            # LiveKit's own, which the peers have.
            "turn": {"min_delay": 0.5 / UNEXPECTED, "max_delay": 3.0},
        },
        "lessons": {
            "silence_prompt_after": 3600,
            "reconnect_timeout": 1,  # a learner who left does not return, as for the others
            "drain_timeout": 1,
            "max_lessons": 50,
        },
        "ledger": {"path": str(directory / "ledger.db")},
        "logs": {"format": "json"},
        "ops": {"port": port},
    }
    replace_text(config / "host.yaml", yaml.safe_dump(host))
    for name in tutors:
        tutor = {
            "agent": "bench_agent:Greeter",
            "worker_type": "explicit",
            "agent_name": name,
            "max_concurrent_jobs": 50,
        }
        replace_text(config / "tutors" / f"{name}.yaml", yaml.safe_dump(tutor))
    return config

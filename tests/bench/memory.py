"""Memory of one host with three tutors against three hosts with one tutor each, all idle.

Run `uv run python -m tests.bench.memory`; it fails when the ratio is above 0.45. Memory is the
proportional set size (proc(5), smaps_rollup) of each host's whole tree of processes, so that
what processes share counts once. Both sides run in one run, with the tutors and engines of
config/ and a real LiveKit server.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import yaml
from tests.bench.processes import pss

from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.dev.parts import run_child, write_config
from loqua_host.errors import LoquaError

CONFIG = Path(__file__).parents[2] / "config"
TUTORS = ("conversation", "grammar", "pronunciation")
ENOUGH = 0.45
SETTLED = 0.005
LOOKS = 5
PAUSE = 0.5

Hosts = Sequence[psutil.Process]


async def measured(hosts: Hosts) -> int:
    """Return what hosts have together once it no longer changes: their idle jobs are ready."""
    looks: list[int] = []
    while len(looks) < LOOKS or max(looks[-LOOKS:]) > (1 + SETTLED) * min(looks[-LOOKS:]):
        await asyncio.sleep(PAUSE)
        looks.append(await asyncio.to_thread(lambda: sum(map(pss, hosts))))
    return looks[-1]


@asynccontextmanager
async def idle_host(livekit: LiveKitServer, tutors: Sequence[str]) -> AsyncIterator[psutil.Process]:
    """Run a host that has these tutors, once it is ready."""
    with TemporaryDirectory(prefix="loqua-memory-") as directory:
        config = Path(directory) / "config"
        write_config(CONFIG, config, "http://127.0.0.1:9", tick_every=30)
        _adjust(config, tutors)
        command = (sys.executable, "-m", "loqua_host", "run", "--config", str(config))
        environ = {"PATH": os.environ["PATH"], **_environ(livekit)}
        async with run_child(*command, stdout=DEVNULL, stderr=PIPE, environ=environ) as process:
            await _until_ready(process)
            yield psutil.Process(process.pid)


async def _until_ready(host: Process) -> None:
    log = b""
    while host.stderr and (line := await host.stderr.readline()):
        log += line
        if b"host.ready" in line:
            return
    raise LoquaError(f"the host did not start: {log[-2000:].decode()}")


def _adjust(config: Path, tutors: Sequence[str]) -> None:
    overlay = config / "environments" / "development.yaml"
    written = yaml.safe_load(overlay.read_text())
    overlay.write_text(yaml.safe_dump({**written, "ops": {"port": 0}}))
    for name in set(TUTORS) - set(tutors):
        (config / "tutors" / f"{name}.yaml").unlink()


def _environ(livekit: LiveKitServer) -> dict[str, str]:
    return {
        "AGENT_ID": "loqua-memory",
        "AGENT_JWT_TOKEN": "nobody.asks.it",
        "API_BASE_URL": "http://127.0.0.1:9",
        "SHARED_SECRET": "nobody encrypts anything with it",
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
    }


async def measure(*hosts: Sequence[str]) -> int:
    """Return the bytes that hosts with these tutors have together."""
    async with run_livekit() as livekit, AsyncExitStack() as running:
        entering = (running.enter_async_context(idle_host(livekit, tutors)) for tutors in hosts)
        return await measured([await host for host in entering])


async def main() -> int:
    """Measure both sides, print them and their ratio; 1 if it is too high."""
    together = await measure(TUTORS)
    apart = await measure(*[(name,) for name in TUTORS])
    ratio = together / apart
    say = f"one host with three tutors {together / 1e6:.0f} MB, three hosts with one each "
    print(f"{say}{apart / 1e6:.0f} MB, ratio {ratio:.3f} (at most {ENOUGH})")  # noqa: T201  # the result
    return 1 if ratio > ENOUGH else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

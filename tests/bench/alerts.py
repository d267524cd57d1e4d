"""Each alert fired by a fault in a real run, and no alert in a healthy one.

Run from the project's root, as root, with `python -m tests.bench.alerts`; prints a line for each
alert and ends with 0 if each fired by its fault, fell silent after it, and none fired before.

Everything is real but the tutor, who is mute: host, LiveKit, dev API, Prometheus. The rules are
config/prometheus/alerts.yaml with every `for:` and every window in brackets divided by `HASTE`;
expressions and thresholds are as written, so that a record waits its five minutes. The host runs
in a container (hence root): its ledger is on a small disk of its own, and the kernel bounds and
counts its memory, and that of its jobs.
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.integration.host.conftest import (
    THIRD_PARTY,
    Deployment,
    HostProcess,
    dev_api_for,
    explicit,
    new_room,
)
from tests.integration.host.test_ops import CONFIG, prometheus, query

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.livekit import run_livekit

HASTE = 60
LEAST = 5
"""Seconds of the shortest window: a rate needs some scrapes, one a second."""

HEALTHY = 90.0
PATIENCE = 420.0
UNLIMITED = {"memory": 1_000_000}
"""Of a tutor whose lesson is to fill the container's memory."""

AGENT = "bench"
TUTOR = "probe-specialist"

MEMORY = 3_000_000_000
"""Bytes that the host and its jobs may have."""
GROUP = f"loqua-host-bench-{os.getpid()}"

CONTAINER = """
set -e
disk=$1 seen=$2 group=$3 most=$4
shift 4
mount -t tmpfs -o size=40m none "$disk"
if [ -d /sys/fs/cgroup/memory ]; then # version 1, whose files have other names
    bound=/sys/fs/cgroup/memory/$group
    mkdir -p "$bound"
    echo "$most" > "$bound/memory.limit_in_bytes"
    for names in limit_in_bytes:max usage_in_bytes:current stat:stat; do
        touch "$seen/memory.${names#*:}"
        mount --bind "$bound/memory.${names%:*}" "$seen/memory.${names#*:}"
    done
else
    seen=/sys/fs/cgroup/$group bound=$seen
    mkdir -p "$bound"
    echo "$most" > "$bound/memory.max"
fi
echo $$ > "$bound/cgroup.procs"
mount --rbind "$seen" /sys/fs/cgroup
exec "$@"
"""
HOLD = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while True:
    database.execute("BEGIN IMMEDIATE")
    time.sleep(float(sys.argv[2]))
    database.execute("ROLLBACK")
    time.sleep(0.05)
"""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def with_shorter_durations(rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rules with their durations shortened."""

    def window(found: re.Match[str]) -> str:
        return f"[{max(LEAST, int(found[1]) * UNITS[found[2]] // HASTE)}s]"

    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\d+)([smhd])\]", window, rule["expr"])
            if "for" in rule:
                whole = int(rule["for"][:-1]) * UNITS[rule["for"][-1]]
                rule["for"] = f"{whole * 1000 // HASTE}ms"
    return rules


@dataclass(slots=True)
class LiveKitConnection:
    """The connection to LiveKit, which can be cut."""

    target: tuple[str, int]
    cut: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on, unless the line is cut."""
        if self.cut:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    @asynccontextmanager
    async def broken(self) -> AsyncIterator[None]:
        """Cut the line for the length of a block."""
        self.cut = True
        for end in self._open:
            end.transport.abort()
        try:
            yield
        finally:
            self.cut = False


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()


@dataclass(slots=True)
class FaultableDeployment:
    """A host with everything around it that can fail.

    Attributes:
        over: Set when what goes on now is to end. Nothing is cancelled: LiveKit's client does
            not survive that while it connects.
    """

    deployment: Deployment
    line: LiveKitConnection
    line_url: str
    port: int
    directory: Path
    stack: AsyncExitStack
    host: HostProcess = field(init=False)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def secrets(self) -> Path:
        """The directory of the host's secrets."""
        return self.directory / "secrets"

    @property
    def disk(self) -> Path:
        """The directory of the ledger's disk, as the host sees it."""
        return self.directory / "disk"

    async def start(self) -> None:
        """Start the host; one that was killed is started anew, on an empty disk."""
        seen = self.directory / "cgroup"
        for folder in (self.secrets, self.disk, seen, self.directory / "config/environments"):
            folder.mkdir(parents=True, exist_ok=True)
        given = self.deployment.environ()
        for name in ("AGENT_JWT_TOKEN", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
            (self.secrets / name).write_text(given[name])
        (self.secrets / "SHARED_SECRET").write_text(given["DEV_AGENT_SECRET"])
        overlay = {
            "ops": {"port": self.port},
            "ledger": {"path": str(self.disk / "ledger.db")},
            "secrets": {"from": "files", "interval": 1, "files": {"directory": str(self.secrets)}},
        }
        file = self.directory / "config/environments/development.yaml"
        file.write_text(yaml.safe_dump(overlay))
        tutors = {
            TUTOR: explicit(AGENT)[TUTOR] | {"max_concurrent_jobs": 10, "limits": UNLIMITED},
            "probe": {"worker_type": "automatic", "max_concurrent_jobs": 1},
        }
        container = (str(self.disk), str(seen), GROUP, str(MEMORY))
        wrapper = ("unshare", "--mount", "sh", "-c", CONTAINER, "host", *container)
        self.host = await self.stack.enter_async_context(
            self.deployment.host(
                self.directory, tutors, wrapper=wrapper, environ={"LIVEKIT_URL": self.line_url}
            )
        )

    async def inside(self, *command: str) -> str:
        """Run a command that sees the disks that the host sees, to its end; return its output."""
        plugins = {"PYTHONPATH": str(self.deployment.plugins), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            *self.entering(*command), stdout=PIPE, env=plugins | self.deployment.environ()
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, f"{command[0]} failed in {command}"
        return output.decode()

    def entering(self, *command: str) -> list[str]:
        """Return a command that sees the disks that the host sees."""
        return ["nsenter", "--mount", "--target", str(self.host.pid), *command]

    async def lesson(self, seconds: float, **script: object) -> None:
        """Teach a learner for so long, or by a script until the lesson ends."""
        room = new_room()
        self.host.script(room, tutor=TUTOR, **script)
        async with self.deployment.visit(room, agent_name=AGENT):
            await self.rest(seconds)

    async def rest(self, seconds: float) -> None:
        """Wait for so long, or until what goes on is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()

    async def always(self, doing: Callable[[], Awaitable[Any]]) -> None:
        """Do something again and again until all is over."""
        while not self.over.is_set():
            await doing()


Fault = Callable[[FaultableDeployment, asyncio.TaskGroup], Coroutine[Any, Any, None]]
"""Brings a fault about, and keeps it until all is over."""


def misbehaving(fault: dict[str, object], learners: int = 1) -> Fault:
    """Make the API misbehave while learners come and go."""

    async def run(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
        async with stage.deployment.api.misbehaving(fault):
            for _ in range(learners):
                tasks.create_task(stage.always(lambda: stage.lesson(6)))
            await stage.over.wait()

    return run


async def refresh_fails(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Issue short-lived tokens, and then refuse to refresh them."""
    short = {"kind": "short_lived_token", "expires_in": 8}
    down = {"kind": "outage", "endpoint": "user-token"}
    async with AsyncExitStack() as stack:
        async with stage.deployment.api.misbehaving(short):
            visit = stage.deployment.visit(agent_name=AGENT)
            learner = await stack.enter_async_context(visit)
            await stage.host.log.until("token.refreshed", user_id=learner.user_id)
        async with stage.deployment.api.misbehaving(down):
            await stage.over.wait()


async def lessons_fail(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
    """Run tutors that fail when the lesson starts."""
    for _ in range(3):
        tasks.create_task(stage.always(lambda: stage.lesson(4, on_user_ready="raise")))
    await stage.over.wait()


async def crash(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
    """Run a tutor that kills its process in each lesson."""
    tasks.create_task(stage.lesson(600, killed_at=1, killed_again=True))
    await stage.over.wait()


def held(seconds: float) -> Fault:
    """Lock the ledger from another process again and again for so long, while lessons run."""

    async def run(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
        for _ in range(4):
            tasks.create_task(stage.lesson(600))
        holding = (sys.executable, "-c", HOLD, str(stage.disk / "ledger.db"), str(seconds))
        command = dying_with_parent(*stage.entering(*holding))
        process = await asyncio.create_subprocess_exec(*command)
        await stage.over.wait()
        process.kill()
        await process.wait()

    return run


async def memory_high(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
    """Run a tutor that takes nearly all of the free memory."""
    used = int(await stage.inside("cat", "/sys/fs/cgroup/memory.current"))
    tasks.create_task(stage.lesson(600, hoards=int(MEMORY * 0.9) - used))
    await stage.over.wait()


async def disk_low(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Fill the disk with another file."""
    file = stage.disk / "other"
    left = await stage.inside("df", "--output=avail", "--block-size=1", str(stage.disk))
    length = int(left.split()[-1]) - 2_000_000
    await stage.inside("fallocate", "--length", str(length), str(file))
    await stage.over.wait()
    await stage.inside("rm", str(file))


async def misconfigured(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Write a key that no tutor has."""
    file = stage.directory / "config/tutors" / f"{TUTOR}.yaml"
    sound = file.read_text()
    file.write_text(f"{sound}enbaled: true\n")
    await stage.over.wait()
    file.write_text(sound)


async def full(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
    """Send learners to a host whose capacity is exhausted."""
    async with stage.deployment.visit() as taught:
        await taught.met()

        async def send_learners() -> None:
            async with stage.deployment.visit():
                await stage.rest(6)

        tasks.create_task(stage.always(send_learners))
        await stage.over.wait()


async def alone(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Send a learner to a host whose capacity is exhausted."""
    async with stage.deployment.visit() as taught:
        await taught.met()
        async with stage.deployment.visit():
            await stage.over.wait()


async def jwt_expires(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Rotate to a JWT with six days left."""
    file = stage.secrets / "AGENT_JWT_TOKEN"
    before = file.read_text()
    file.write_text(stage.deployment.api.settings.mint_agent_jwt("loqua-test", timedelta(days=6)))
    await stage.over.wait()
    file.write_text(before)


async def key_refused(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Set a key other than LiveKit's."""
    file = stage.secrets / "LIVEKIT_API_KEY"
    before = file.read_text()
    file.write_text("APInobodys")
    await stage.over.wait()
    file.write_text(before)


async def cut_off(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Cut the connection to LiveKit."""
    async with stage.line.broken():
        await stage.over.wait()


async def starved(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Suspend the host for most of each second."""
    while not stage.over.is_set():
        os.kill(stage.host.pid, signal.SIGSTOP)
        await asyncio.sleep(0.8)
        os.kill(stage.host.pid, signal.SIGCONT)
        await asyncio.sleep(0.2)


async def set_aside(stage: FaultableDeployment, tasks: asyncio.TaskGroup) -> None:
    """Refuse records at the API, then send them again by the runbook's command."""
    refusing = {"kind": "error", "status": 400, "code": "INVALID", "endpoint": "sessions"}
    await misbehaving(refusing)(stage, tasks)
    config = str(stage.directory / "config")
    resend = (sys.executable, "-m", "loqua_host", "records", "resend", "--dead")
    await stage.inside(*resend, "--config", config)


async def killed(stage: FaultableDeployment, _tasks: asyncio.TaskGroup) -> None:
    """Kill the host, and start it again."""
    stage.host.process.kill()
    await stage.over.wait()
    await stage.start()


FAULTS: dict[str, tuple[str, Fault]] = {
    # Not a full disk: a log that SQLite has once grown is written again, also on that.
    "LedgerFails": ("another process holds the ledger for good", held(3600)),
    "AgentAuthenticationFails": (
        "the API answers exchanges with 401",
        misbehaving({"kind": "error", "status": 401, "code": "NO", "endpoint": "user-token"}),
    ),
    "TokenRefreshFails": ("tokens of 8 s, then no exchange", refresh_fails),
    "SessionCompletionLow": ("a tutor whose on_user_ready raises", lessons_fail),
    "ApiSlow": ("the API answers after 3 s", misbehaving({"kind": "latency", "seconds": 3}, 4)),
    "DatabaseConnectionBusy": ("another process holds the ledger 0.5 s at a time", held(0.5)),
    "MemoryHigh": ("a tutor whose job takes 90 % of the container's memory", memory_high),
    "LearnerWaiting": ("a second learner for one place", alone),
    "DeadLetters": ("the API answers records with 400", set_aside),
    "AgentJwtExpiring": ("AGENT_JWT_TOKEN rotated to one of 6 days", jwt_expires),
    "TutorCrashLoop": ("a tutor that kills its process each time", crash),
    "WorkerOffline": ("the line to LiveKit cut", cut_off),
    "LiveKitKeyRefused": ("LIVEKIT_API_KEY rotated to one that LiveKit has not", key_refused),
    "CapacityExhausted": ("learners who come for one place, taken", full),
    "BreakerOpen": ("the API is down", misbehaving({"kind": "outage"})),
    "EventLoopLagHigh": ("the host stopped for 0.8 s of each second", starved),
    "DiskLow": ("the ledger's disk 90 % full", disk_low),
    "ConfigStale": ("a tutor's file with a key that there is not", misconfigured),
    "RecordsOverdue": (
        "the API is down for records",
        misbehaving({"kind": "outage", "endpoint": "sessions"}),
    ),
    "HostDown": ("the host killed", killed),
}


async def firing(client: httpx.AsyncClient) -> set[str]:
    """Return the alerts that fire now."""
    found = await query(client, 'ALERTS{alertstate="firing"}')
    return {one["metric"]["alertname"] for one in found}


async def until(client: httpx.AsyncClient, met: Callable[[set[str]], bool]) -> float | None:
    """Wait until the firing alerts are as they should be; return the seconds, None if never."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    while not met(await firing(client)):
        if clock() - begun > PATIENCE:
            return None
        await asyncio.sleep(0.5)
    return clock() - begun


async def provoke(stage: FaultableDeployment, client: httpx.AsyncClient, alert: str) -> bool:
    """Cause a fault until its alert fires, end it until the alert stops; return success."""
    description, fault = FAULTS[alert]
    async with running_in_background(stage) as tasks:
        tasks.create_task(fault(stage, tasks))
        took = await until(client, lambda fired: alert in fired)
        others = sorted(await firing(client) - {alert})
    quiet = await until(client, lambda fired: not fired)
    also = f"; also {', '.join(others)}" if others else ""
    say(f"{alert:26} {shown(took):>7}, silent after {shown(quiet):>7}  {description}{also}")
    return took is not None and quiet is not None


def shown(seconds: float | None) -> str:
    """Return a time as people read it."""
    return "never" if seconds is None else f"{seconds:.1f} s"


@asynccontextmanager
async def running_in_background(stage: FaultableDeployment) -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a group for what goes on during a block, and is over after it."""
    stage.over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        finally:
            stage.over.set()


async def healthy(stage: FaultableDeployment, client: httpx.AsyncClient) -> bool:
    """Teach for a while; say whether no alert fired."""
    short = {"kind": "short_lived_token", "expires_in": 8}
    async with stage.deployment.api.misbehaving(short), running_in_background(stage) as tasks:
        for _ in range(2):
            tasks.create_task(stage.always(lambda: stage.lesson(10)))
        await asyncio.sleep(HEALTHY)
    fired = await query(client, f'count_over_time(ALERTS{{alertstate="firing"}}[{HEALTHY:.0f}s])')
    names = sorted({one["metric"]["alertname"] for one in fired})
    taught = await query(client, 'sum(loqua_lessons_ended_total{outcome="completed"})')
    lessons = taught[0]["value"][1] if taught else 0
    say(f"healthy for {HEALTHY:.0f} s, {lessons} lessons: {', '.join(names) or 'no alert fired'}")
    return not names


def say(line: str) -> None:
    """Print a result."""
    print(line, flush=True)  # noqa: T201  # what the bench is run for


@asynccontextmanager
async def staged(directory: Path) -> AsyncIterator[tuple[FaultableDeployment, httpx.AsyncClient]]:
    """Yield a host that runs, and the Prometheus that watches it."""
    plugins = directory / "plugins"
    command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    subprocess.run((*command, "--target", plugins, THIRD_PARTY), check=True)  # noqa: S603, ASYNC221  # ours, before anything runs
    rules = directory / "alerts.yaml"
    written = yaml.safe_load((CONFIG / "prometheus/alerts.yaml").read_text())
    rules.write_text(yaml.safe_dump(with_shorter_durations(written)))
    async with AsyncExitStack() as stack:
        stack.callback(forget_container)
        livekit = await stack.enter_async_context(run_livekit())
        api = await stack.enter_async_context(dev_api_for(livekit))
        address = httpx.URL(livekit.url)
        line = LiveKitConnection((address.host, address.port or 80))
        server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
        await stack.enter_async_context(server)
        line_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        deployment = Deployment(livekit, api, plugins, directory)
        hosts = await stack.enter_async_context(AsyncExitStack())
        stage = FaultableDeployment(
            deployment, line, line_url, free_port(), directory / "host", hosts
        )
        await stage.start()
        watching = prometheus(directory, f"127.0.0.1:{stage.port}", rules)
        yield stage, await stack.enter_async_context(watching)


def forget_container() -> None:
    """Remove the group of processes whose memory was counted, now that there are none."""
    for version in ("memory", ""):
        with suppress(OSError):
            Path("/sys/fs/cgroup", version, GROUP).rmdir()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def main(only: list[str]) -> int:
    """Run healthily, then with each fault."""
    with tempfile.TemporaryDirectory() as name:
        async with staged(Path(name)) as (stage, client):
            fine = [await healthy(stage, client)] if not only else []
            fine += [await provoke(stage, client, alert) for alert in only or FAULTS]
    return int(not all(fine))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("only", nargs="*", metavar="ALERT", help="alerts to provoke alone")
    sys.exit(asyncio.run(main(arguments.parse_args().only)))

"""Three hosts, two LiveKit nodes on Redis and one ledger in Postgres, whose links can be cut."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
from livekit import rtc
from tests.bench.tcp_proxy import TcpProxy, open_tcp_proxy
from tests.integration.host.conftest import (
    THIRD_PARTY,
    Deployment,
    HostProcess,
    SilentLearner,
    dev_api_for,
    new_room,
)
from tests.integration.host.warm_hosts import WarmHosts

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.dev.ports import free_port
from loqua_host.dev.postgres import run_postgres
from loqua_host.records.leases import LEASE

__all__ = [
    "AUTOMATIC",
    "Attendance",
    "HostCluster",
    "Member",
    "address_of",
    "install_tutor",
    "run_cluster",
    "socket_of",
]

LESSONS = {"max_lessons": 50, "reconnect_timeout": 10, "drain_timeout": 3}
AUTOMATIC = {"probe": {"worker_type": "automatic", "max_concurrent_jobs": 50}}

Tutors = Mapping[str, Mapping[str, object]]
BEAT = "beat"
BEATS = 3
"""So many show that a tutor teaches."""


@dataclass(slots=True)
class Member:
    """One of the hosts, with its own links to the shared services.

    Attributes:
        environ: Over the variables that name the links.
        wrapper: A command in front of the host's.
        tutors: The tutors that it runs.
    """

    name: str
    directory: Path
    deployment: Deployment
    postgres: TcpProxy
    livekit: TcpProxy
    api: TcpProxy
    environ: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] | None = None
    tutors: Tutors = field(default_factory=lambda: AUTOMATIC)
    host: HostProcess | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start the host, in the directory that it had before."""
        environ = {
            "LEDGER_URL": f"postgresql://loqua@{self.postgres.address}/postgres",
            "LIVEKIT_URL": f"ws://{self.livekit.address}",
            "API_BASE_URL": f"http://{self.api.address}",
            **self.environ,
        }
        host = self.deployment.host(
            self.directory, self.tutors, wrapper=self.wrapper, environ=environ, lessons=LESSONS
        )
        self.host = await self._running.enter_async_context(host)

    async def stop(self) -> None:
        """Stop the host with SIGTERM and wait for its end."""
        await self._running.aclose()

    @property
    def running(self) -> HostProcess:
        """The host."""
        assert self.host is not None
        return self.host

    @property
    def lessons(self) -> int:
        """The number of lessons that it started or resumed."""
        log = self.running.log
        return len(log.find("lesson.opened")) + len(log.find("lesson.resumed"))

    def teaches(self, attendance: "Attendance") -> bool:
        """Return whether it has begun or resumed a learner's lesson."""
        user = attendance.visitor.user_id
        log = self.running.log
        return bool(
            log.find("lesson.opened", user_id=user) + log.find("lesson.resumed", user_id=user)
        )

    def kill(self) -> None:
        """Kill the host."""
        self.running.process.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the host and all of its processes for the length of a block."""
        host = psutil.Process(self.running.pid)
        processes = [host, *host.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(processes):
                with suppress(psutil.NoSuchProcess):  # the host ends jobs that did not respond
                    process.resume()


@dataclass(slots=True)
class Attendance:
    """A learner in a room, and the times of its tutor, by the learner's clock.

    Attributes:
        also: The learner in the same room of other LiveKit servers.
    """

    visitor: SilentLearner
    came: float
    beats: list[tuple[float, str]] = field(default_factory=list)
    also: list[SilentLearner] = field(default_factory=list)

    def longest_gap(self, since: float, until: float) -> float:
        """Return for how long there was no tutor, at most, between two moments."""
        times = [since, *(at for at, _ in self.beats if since <= at <= until), until]
        return max(later - earlier for earlier, later in pairwise(times))

    def together(self) -> float:
        """Return for how many seconds two tutors taught at the same time."""
        beats = sorted(self.beats)
        return sum(
            later - earlier
            for (earlier, one), (later, other) in pairwise(beats)
            if one != other and self._goes_on(one, later)
        )

    def _goes_on(self, who: str, since: float) -> bool:
        """Return whether a tutor taught within a second after a moment."""
        return any(since < at <= since + 1.0 and one == who for at, one in self.beats)

    def listen(self, room: rtc.Room) -> None:
        """Note when a tutor teaches in a room."""
        loop = asyncio.get_running_loop()

        def on_data(packet: rtc.DataPacket) -> None:
            if packet.topic == BEAT and packet.participant is not None:
                self.beats.append((loop.time(), packet.participant.identity))

        room.on("data_received", on_data)

    async def taught(self, since: float, patience: float = 40.0) -> bool:
        """Wait until a tutor teaches, since a moment; return whether one does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while sum(at >= since for at, _ in self.beats) < BEATS:  # noqa: ASYNC110  # of packets
                    await asyncio.sleep(0.05)
        return sum(at >= since for at, _ in self.beats) >= BEATS


@dataclass(slots=True)
class HostCluster:
    """All hosts and LiveKit nodes of the bench."""

    members: Sequence[Member]
    deployments: Sequence[Deployment]
    _entered: int = 0

    @asynccontextmanager
    async def attendance(self) -> AsyncIterator[Attendance]:
        """Keep a learner in a new room, on the nodes in turn, for the duration of a block."""
        deployment = self.deployments[self._entered % len(self.deployments)]
        self._entered += 1
        async with self.attendance_at(deployment, self.script_room()) as attendance:
            yield attendance

    @asynccontextmanager
    async def attendance_at(self, deployment: Deployment, room: str) -> AsyncIterator[Attendance]:
        """Keep a learner in a room for the duration of a block."""
        async with deployment.visit(room) as visitor:
            attendance = Attendance(visitor, asyncio.get_running_loop().time())
            attendance.listen(visitor.room)
            yield attendance

    def script_room(self) -> str:
        """Return a new room, in which any tutor shows that it teaches."""
        room = new_room()
        for member in self.members:
            member.running.script(room, beats=True)
        return room

    def story(self, attendance: Attendance) -> list[str]:
        """Return what the hosts logged about a learner's room, but for its ticks."""
        return [
            f"{line['timestamp']} {member.name} {json.dumps(line)}"
            for member in self.members
            for line in member.running.log.lines
            if line.get("room") == attendance.visitor.name and line["event"] != "probe.tick"
        ]

    async def records(self, attendances: Sequence[Attendance]) -> list[int]:
        """Wait until all learners have a record, or long enough, and return how many each has."""
        api = self.deployments[0].api
        arrivals = (api.until("sessions", attendance.visitor.user_id) for attendance in attendances)
        await asyncio.gather(*arrivals, return_exceptions=True)
        return [
            len(await api.arrivals("sessions", attendance.visitor.user_id))
            for attendance in attendances
        ]


def install_tutor(directory: Path) -> Path:
    """Install the tutor of the tests, and return where."""
    command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    subprocess.run((*command, "--target", directory, THIRD_PARTY), check=True)  # noqa: S603  # ours
    return directory


@asynccontextmanager
async def run_redis(directory: Path) -> AsyncIterator[str]:
    """Yield the address of a Redis that keeps nothing on disk."""
    port = free_port()
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is not on PATH; Debian has it in the package redis-server")
    command = (program, "--port", str(port), "--save", "", "--bind", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command), cwd=directory, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)  # nothing says when it listens
            else:
                writer.close()
                break
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def run_nodes(stack: AsyncExitStack, directory: Path, count: int) -> list[LiveKitServer]:
    """Start LiveKit servers, with one key, that form a cluster on Redis if there are several."""
    redis = await stack.enter_async_context(run_redis(directory)) if count > 1 else None
    environ = {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}
    nodes: list[LiveKitServer] = []
    for _ in range(count):
        again = replace(nodes[0], url=f"ws://127.0.0.1:{free_port()}") if nodes else None
        node = run_livekit(redis=redis, environ=environ, again=again)
        nodes.append(await stack.enter_async_context(node))
    return nodes


@asynccontextmanager
async def run_cluster(
    hosts: int = 3,
    nodes: int = 2,
    tutors: Sequence[Tutors] = (AUTOMATIC,),
    warm: WarmHosts | None = None,
) -> AsyncIterator[HostCluster]:
    """Run everything for the length of a block; the hosts have started side by side.

    Args:
        hosts: How many hosts.
        nodes: How many LiveKit nodes; one alone needs no Redis.
        tutors: The tutors of the hosts, in turn.
        warm: What hosts are forked from; without it, each is a program of its own.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plugins = install_tutor(directory / "plugins")
        livekit = await run_nodes(stack, directory, nodes)
        api = await stack.enter_async_context(dev_api_for(livekit[0]))
        postgres = stack.enter_context(run_postgres(durable=False))
        deployments = [Deployment(node, api, plugins, directory, warm=warm) for node in livekit]
        members = [
            Member(
                name=f"host{number}",
                directory=directory / f"host{number}",
                deployment=deployments[0],
                postgres=await stack.enter_async_context(open_tcp_proxy(socket_of(postgres))),
                livekit=await stack.enter_async_context(
                    open_tcp_proxy(address_of(livekit[number % nodes]))
                ),
                api=await stack.enter_async_context(open_tcp_proxy(address_of(api.url))),
                tutors=tutors[number % len(tutors)],
            )
            for number in range(hosts)
        ]
        for member in members:
            stack.push_async_callback(member.stop)
        await asyncio.gather(*(member.start() for member in members))
        # Each reports its tutors when it first renews its lease, and the others read them then.
        await asyncio.sleep(2 * LEASE / 3 + 1)
        yield HostCluster(members, deployments)


def socket_of(url: str) -> str:
    """Return the socket of a local Postgres."""
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


def address_of(server: LiveKitServer | str) -> tuple[str, int]:
    """Return host and port of a server."""
    parts = urlsplit(server if isinstance(server, str) else server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port

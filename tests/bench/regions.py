"""Interruptions of lessons and lost records when the active region or a part of it fails.

Run as root with `python -m tests.bench.regions [case]...` in the project's root; prints its figures
as JSON, and ends with 0 if no record was lost or doubled. Each region is a network namespace with a
LiveKit server and a host; learners, the development API and two Postgres servers, one for each
region, are outside. The second follows the first synchronously. Needs Debian's `postgresql` and
`iproute2`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from livekit import api
from tests.bench.cluster import (
    Attendance,
    HostCluster,
    Member,
    address_of,
    install_tutor,
    socket_of,
)
from tests.bench.hosts import count, now, print_progress, spread
from tests.bench.tcp_proxy import TcpProxy, open_tcp_proxy
from tests.integration.host.conftest import Deployment, SilentLearner, dev_api_for

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.livekit import LiveKitServer
from loqua_host.dev.livekit_binary import livekit_binary
from loqua_host.dev.postgres import run_postgres
from loqua_host.records.leases import LEASE

NAMES = ("west", "east")
FAILOVER_AFTER = 30
LEARNERS = 4
NEWCOMERS = 2
SETTLED = 6.0
"""Seconds in which a region that is back would do what it must not."""

SIGNAL_PORT, MEDIA_PORT = 7880, 7882

OPERATOR_SECONDS = 15.0
"""Seconds after which an operator promotes the other Postgres server."""

WRITABLE = "target_session_attrs=read-write"
SYNCHRONOUS = {"synchronous_standby_names": "*"}


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace with one interface to the outside.

    Attributes:
        name: Of the namespace, and of the interface outside.
        number: The third part of its addresses.
    """

    name: str
    number: int

    @property
    def outside(self) -> str:
        """The address of the outside, as seen from within."""
        return f"10.77.{self.number}.1"

    @property
    def inside(self) -> str:
        """Its own address."""
        return f"10.77.{self.number}.2"

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The command prefix that runs a command in the namespace."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Block all traffic."""
        ip("link", "set", self.name, "down")

    def restore(self) -> None:
        """Unblock all traffic."""
        ip("link", "set", self.name, "up")


@dataclass(slots=True)
class LiveKitNode:
    """A LiveKit server in a region, which can be killed and started again."""

    network: Network
    server: LiveKitServer
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        config = {
            "port": SIGNAL_PORT,
            "rtc": {
                "udp_port": MEDIA_PORT,
                "tcp_port": 0,
                "node_ip": self.network.inside,
                "use_external_ip": False,
                "ips": {"includes": [f"{self.network.inside}/32"]},
            },
            "logging": {"level": "warn"},
        }
        server = self.server
        environ = {
            "LIVEKIT_CONFIG": json.dumps(config),
            "LIVEKIT_KEYS": json.dumps({server.api_key: server.api_secret}),
            "PATH": os.environ["PATH"],
        }
        command = (*self.network.wrapper, str(await livekit_binary(print)))
        self.process = await asyncio.create_subprocess_exec(
            *dying_with_parent(*command), env=environ, stdout=subprocess.DEVNULL
        )
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
            while True:
                with suppress(aiohttp.ClientError):
                    await livekit.room.list_rooms(api.ListRoomsRequest())
                    break
                await asyncio.sleep(0.1)  # nothing says when it listens

    async def kill(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


@dataclass(slots=True)
class Databases:
    """The Postgres servers of both regions: the first accepts writes, the second follows it."""

    urls: list[str]
    _stack: ExitStack

    def lose_first(self) -> None:
        """Kill the first server, as its machine fails."""
        with psycopg.connect(self.urls[0]) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        pid = (Path(row[0]) / "postmaster.pid").read_text().split()[0]
        os.kill(int(pid), signal.SIGKILL)

    def promote_second(self) -> None:
        """Promote the second server, as an operator does."""
        with psycopg.connect(self.urls[1], autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def follow_second(self) -> str:
        """Make a new server that follows the second one, and return where it listens."""
        server = run_postgres(durable=False, standby_of=self.urls[1])
        self.urls[0] = self._stack.enter_context(server)
        return socket_of(self.urls[0])


@dataclass(frozen=True, slots=True)
class Region:
    """A region: its network, LiveKit and host, and the host's routes to both databases."""

    network: Network
    node: LiveKitNode
    deployment: Deployment
    member: Member
    databases: Databases
    ledger: tuple[TcpProxy, TcpProxy]

    async def is_active(self) -> bool:
        """Return whether a load balancer would send learners there."""
        port = self.member.running.ops_port
        command = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")
        url = f"http://127.0.0.1:{port}/health/active"
        asked = await asyncio.create_subprocess_exec(
            *self.network.wrapper, *command, url, stdout=subprocess.PIPE
        )
        answer, _ = await asked.communicate()
        return answer == b"200"

    async def active(self) -> float:
        """Wait until it is the one that teaches, and return the moment."""
        while not await self.is_active():  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.5)
        return now()


def ip(*arguments: str) -> None:
    """Change interfaces."""
    subprocess.run(("ip", *arguments), check=True)  # noqa: S603, S607  # Debian's


@contextmanager
def open_network(name: str, number: int) -> Iterator[Network]:
    """Yield a network namespace for the length of a block."""
    network = Network(f"loqua-{name}", number)
    ip("netns", "add", network.name)
    try:
        ip("link", "add", network.name, "type", "veth", "peer", "eth0", "netns", network.name)
        ip("address", "add", f"{network.outside}/24", "dev", network.name)
        ip("link", "set", network.name, "up")
        inside = ("-n", network.name)
        ip(*inside, "address", "add", f"{network.inside}/24", "dev", "eth0")
        for interface in ("eth0", "lo"):
            ip(*inside, "link", "set", interface, "up")
        yield network
    finally:
        ip("netns", "delete", network.name)


@asynccontextmanager
async def run_node(network: Network, key: LiveKitServer) -> AsyncIterator[LiveKitNode]:
    """Run a LiveKit server in a region for the length of a block."""
    node = LiveKitNode(network, replace(key, url=f"ws://{network.inside}:{SIGNAL_PORT}"))
    await node.start()
    try:
        yield node
    finally:
        await node.kill()


@contextmanager
def run_databases() -> Iterator[Databases]:
    """Run both Postgres servers for the length of a block."""
    with ExitStack() as stack:
        first = stack.enter_context(run_postgres(durable=False, settings=SYNCHRONOUS))
        second = stack.enter_context(run_postgres(durable=False, standby_of=first))
        yield Databases([first, second], stack)


@asynccontextmanager
async def run_regions() -> AsyncIterator[tuple[Region, Region]]:
    """Run both regions for the length of a block; the first teaches."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plugins = install_tutor(directory / "plugins")
        key = LiveKitServer("", "key", "a-secret-of-at-least-thirty-two-bytes")
        networks = [
            stack.enter_context(open_network(name, number))
            for number, name in enumerate(NAMES, start=1)
        ]
        nodes = [await stack.enter_async_context(run_node(it, key)) for it in networks]
        served = await stack.enter_async_context(dev_api_for(nodes[0].server))
        databases = stack.enter_context(run_databases())
        regions = []
        for name, network, node in zip(NAMES, networks, nodes, strict=True):
            servers = (*map(socket_of, databases.urls), address_of(served.url))
            first, second, way = [
                await stack.enter_async_context(open_tcp_proxy(server, network.outside))
                for server in servers
            ]
            deployment = Deployment(node.server, served, plugins, directory)
            both = f"{first.address},{second.address}"
            member = Member(
                name,
                directory / name,
                deployment,
                postgres=first,
                livekit=first,  # not used: within its network
                api=way,
                environ={
                    "LEDGER_URL": f"postgresql://loqua@{both}/postgres?{WRITABLE}",
                    "LIVEKIT_URL": node.server.url,
                    **variables(name),
                },
                wrapper=network.wrapper,
            )
            stack.push_async_callback(member.stop)
            ledger = (first, second)
            regions.append(Region(network, node, deployment, member, databases, ledger))
        await asyncio.gather(*(it.member.start() for it in regions))
        await asyncio.sleep(LEASE / 3 + 1)  # each has reported that it is ready
        yield regions[0], regions[1]


def variables(name: str) -> dict[str, str]:
    """Return what names the regions to a host."""
    primary, secondary = NAMES
    return {
        "LOQUA_REGIONS__HERE": name,
        "LOQUA_REGIONS__PRIMARY": primary,
        "LOQUA_REGIONS__SECONDARY": secondary,
        "LOQUA_REGIONS__FAILOVER_AFTER": str(FAILOVER_AFTER),
    }


@dataclass(slots=True)
class Learners:
    """Learners, who keep room, visit and token when they go to another region."""

    cluster: HostCluster
    stack: AsyncExitStack

    async def enter(self, region: Region) -> Attendance:
        """Enter a new learner into a region."""
        return await self.stack.enter_async_context(
            self.cluster.attendance_at(region.deployment, self.cluster.script_room())
        )

    async def move(self, attendance: Attendance, region: Region) -> None:
        """Enter a learner into the same room in another region, in another tab."""
        visitor = attendance.visitor
        entered = region.deployment.enter(visitor.token, visitor.user_id, visitor.session_id)
        again: SilentLearner = await self.stack.enter_async_context(entered)
        attendance.listen(again.room)
        attendance.also.append(again)


async def start_lessons(learners: Learners, region: Region) -> list[Attendance]:
    """Enter learners into a region and wait until all are taught."""
    attendances = await gather_attendances(learners.enter(region) for _ in range(LEARNERS))
    await asyncio.gather(*(attendance.taught(attendance.came) for attendance in attendances))
    return attendances


async def move_lessons(
    learners: Learners, attendances: list[Attendance], region: Region
) -> list[asyncio.Task[None]]:
    """Move all learners to another region and enter new ones there; append these to `attendances`.

    Returns:
        The closing of the old connections, which a tab would otherwise re-establish when the old
        region is back.
    """
    leaving = [
        asyncio.create_task(attendance.visitor.room.disconnect()) for attendance in attendances
    ]
    await asyncio.gather(*(learners.move(attendance, region) for attendance in attendances))
    attendances += await gather_attendances(learners.enter(region) for _ in range(NEWCOMERS))
    return leaving


async def continuity(
    attendances: Sequence[Attendance], begun: float, active: float
) -> dict[str, Any]:
    """Wait until all are taught after `active`; return their number and the gaps since `begun`."""
    taught = await asyncio.gather(*(attendance.taught(active) for attendance in attendances))
    gaps = [attendance.longest_gap(begun, now()) for attendance in attendances[:LEARNERS]]
    return {**spread("without_tutor", gaps), "taught_at_the_end": sum(taught)}


async def cut_off(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Cut a region off from everything, move its learners, and restore it."""
    attendances = await start_lessons(learners, west)
    begun = now()
    print_progress("cut off")
    west.network.cut()
    active = await east.active()
    print_progress("failed over", after=round(active - begun, 1))
    leaving = await move_lessons(learners, attendances, east)
    figures = await continuity(attendances, begun, active)
    print_progress("taught in the other region", **figures)
    west.network.restore()
    await west.member.running.log.until("region.changed", active=NAMES[1])
    print_progress("restored")
    await asyncio.gather(asyncio.sleep(SETTLED), *leaving)
    return {
        "failed_over_after": round(active - begun, 1),
        **figures,
        **await back_by_hand(west, east, learners, attendances),
    }


async def back_by_hand(
    west: Region, east: Region, learners: Learners, attendances: list[Attendance]
) -> dict[str, Any]:
    """Enter a learner into a region on standby, then make it the active one."""
    early = await learners.enter(west)
    attendances.append(early)
    await asyncio.sleep(SETTLED)
    stood_by = not early.beats
    begun = now()
    await activate(west)
    active = await west.active()
    served = await early.taught(begun)
    since = now()
    went_on = await asyncio.gather(*(attendance.taught(since) for attendance in attendances[:-1]))
    late = await learners.enter(east)
    await asyncio.sleep(SETTLED)
    return {
        "served_while_standing_by": not stood_by or bool(late.beats),
        "by_hand_after": round(active - begun, 1),
        "served_then_after": round(early.beats[0][0] - begun, 1) if served else None,
        "went_on_elsewhere": sum(went_on),
        **await result(learners, attendances),
    }


async def without_ledger(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Cut a region off from only the ledger and the API: learners reach both regions."""
    attendances = await start_lessons(learners, west)
    begun = now()
    cut = (*west.ledger, west.member.api)
    for link in cut:
        link.cut()
    active = await east.active()
    print_progress("failed over", after=round(active - begun, 1))
    both, *_ = attendances
    await learners.move(both, east)
    attendances += await gather_attendances(learners.enter(east) for _ in range(NEWCOMERS))
    taught = await asyncio.gather(*(attendance.taught(active) for attendance in attendances))
    await asyncio.sleep(SETTLED)
    gaps = [attendance.longest_gap(begun, now()) for attendance in attendances[:LEARNERS]]
    together, healed = both.together(), now()
    for link in cut:
        link.restore()
    await west.member.running.log.until("region.changed", active=NAMES[1])
    print_progress("restored")
    await asyncio.sleep(2 * SETTLED)
    mine = [at for at, who in both.beats if who == both.beats[0][1]]
    return {
        "failed_over_after": round(active - begun, 1),
        **spread("without_tutor", gaps),
        "taught_at_the_end": sum(taught),
        "two_tutors_while_cut_off": round(together, 1),
        "left_after_healing": round(max(mine) - healed, 1),
        **await result(learners, attendances),
    }


async def without_livekit(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Kill only a region's LiveKit, move its learners, and start it again."""
    attendances = await start_lessons(learners, west)
    begun = now()
    print_progress("without LiveKit")
    await west.node.kill()
    active = await east.active()
    print_progress("failed over", after=round(active - begun, 1))
    leaving = await move_lessons(learners, attendances, east)
    figures = await continuity(attendances, begun, active)
    await west.node.start()
    await west.member.running.log.until("worker.registered", count=2)
    print_progress("restored")
    await asyncio.gather(asyncio.sleep(2 * SETTLED), *leaving)
    return {
        "failed_over_after": round(active - begun, 1),
        **figures,
        "active_again": await west.is_active(),
        "two_tutors": round(max(attendance.together() for attendance in attendances), 1),
        **await result(learners, attendances),
    }


async def without_first_database(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Kill the Postgres server that accepts writes, and promote that of the other region."""
    attendances = await start_lessons(learners, west)
    begun = now()
    west.databases.lose_first()
    print_progress("without the first database")
    newcomers = await gather_attendances(learners.enter(west) for _ in range(NEWCOMERS))
    leaver = attendances[0]
    await leaver.visitor.leave()
    await asyncio.sleep(OPERATOR_SECONDS)
    promoted = now()
    west.databases.promote_second()
    print_progress("promoted")
    taught = await asyncio.gather(
        *(attendance.taught(promoted) for attendance in (*attendances[1:], *newcomers))
    )
    gaps = [attendance.longest_gap(begun, now()) for attendance in attendances[1:]]
    await asyncio.sleep(FAILOVER_AFTER + LEASE + SETTLED)
    everyone = [*attendances, *newcomers]
    return {
        "promoted_after": round(promoted - begun, 1),
        **spread("without_tutor", gaps),
        **spread("newcomers_after_promotion", [it.beats[0][0] - promoted for it in newcomers]),
        "taught_at_the_end": sum(taught),
        "region_changed": await east.is_active(),
        **await result(learners, everyone),
    }


async def with_database_lost(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Cut a region off with the Postgres server that accepts writes; promote and fail over."""
    attendances = await start_lessons(learners, west)
    begun = now()
    west.databases.lose_first()
    west.network.cut()
    print_progress("lost with its database")
    await asyncio.sleep(OPERATOR_SECONDS)
    promoted = now()
    west.databases.promote_second()
    await activate(east)
    active = await east.active()
    print_progress("promoted and activated", after=round(active - begun, 1))
    leaving = await move_lessons(learners, attendances, east)
    figures = await continuity(attendances, begun, active)
    again = west.databases.follow_second()
    for region in (west, east):
        region.ledger[0].server = again
    west.network.restore()
    await west.member.running.log.until("region.changed", active=NAMES[1], patience=90)
    print_progress("restored")
    await asyncio.gather(asyncio.sleep(2 * SETTLED), *leaving)
    return {
        "promoted_after": round(promoted - begun, 1),
        "taught_there_after": round(active - begun, 1),
        **figures,
        "active_again": await west.is_active(),
        **await result(learners, attendances),
    }


async def result(learners: Learners, attendances: Sequence[Attendance]) -> dict[str, int]:
    """Remove all learners, and count their records."""
    await asyncio.gather(
        *(
            one.leave()
            for attendance in attendances
            for one in (attendance.visitor, *attendance.also)
        )
    )
    return count(await learners.cluster.records(attendances))


async def gather_attendances(work: Any) -> list[Attendance]:
    """Return the attendances of learners who enter at the same time."""
    return list(await asyncio.gather(*work))


async def activate(region: Region) -> None:
    """Make a region the active one, as an operator does."""
    member = region.member
    environ = {
        **os.environ,
        "PYTHONPATH": str(region.deployment.plugins),
        **region.deployment.environ(),
        **member.environ,
    }
    config = str(member.directory / "config")
    command = ("region", "activate", member.name, "--config", config)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loqua_host", *command, env=environ, stdout=sys.stderr
    )
    assert await process.wait() == 0


CASES = {
    "cut_off": cut_off,
    "without_ledger": without_ledger,
    "without_livekit": without_livekit,
    "without_first_database": without_first_database,
    "with_database_lost": with_database_lost,
}


async def main(cases: Sequence[str]) -> int:
    """Run each case with new regions."""
    figures: dict[str, Mapping[str, Any]] = {}
    for name in cases:
        async with run_regions() as (west, east), AsyncExitStack() as stack:
            cluster = HostCluster([west.member, east.member], [west.deployment])
            figures[name] = await CASES[name](west, east, Learners(cluster, stack))
            print_progress(name, **figures[name])
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return int(any(one["lost"] or one["doubled"] for one in figures.values()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:] or [*CASES])))

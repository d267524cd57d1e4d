"""What learners notice when the region that teaches is cut off, and what becomes of its records.

Run as root with `python -m tests.bench.regions [case]...` in the project's root; prints its figures
as JSON, and ends with 0 if no record was lost or doubled. Each region is a network namespace with a
LiveKit server and a host; learners, Postgres and the development API are outside. Needs Debian's
`postgresql` and `iproute2`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from livekit import api
from tests.bench.cluster import Cluster, Member, Seat, address_of, install_tutor, socket_of
from tests.bench.hosts import count, now, spread, tell
from tests.bench.severed import open_link
from tests.integration.host.conftest import Deployment, Visitor, dev_api_for

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
        """What runs a command within."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Block all traffic."""
        ip("link", "set", self.name, "down")

    def heal(self) -> None:
        """Unblock all traffic."""
        ip("link", "set", self.name, "up")


@dataclass(frozen=True, slots=True)
class Region:
    """A region: its network, LiveKit and host."""

    network: Network
    deployment: Deployment
    member: Member

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
async def run_node(network: Network, key: LiveKitServer) -> AsyncIterator[LiveKitServer]:
    """Run a LiveKit server in a region for the length of a block."""
    server = replace(key, url=f"ws://{network.inside}:{SIGNAL_PORT}")
    config = {
        "port": SIGNAL_PORT,
        "rtc": {
            "udp_port": MEDIA_PORT,
            "tcp_port": 0,
            "node_ip": network.inside,
            "use_external_ip": False,
            "ips": {"includes": [f"{network.inside}/32"]},
        },
        "logging": {"level": "warn"},
    }
    environ = {
        "LIVEKIT_CONFIG": json.dumps(config),
        "LIVEKIT_KEYS": json.dumps({server.api_key: server.api_secret}),
        "PATH": os.environ["PATH"],
    }
    command = (*network.wrapper, str(await livekit_binary(print)))
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command), env=environ, stdout=subprocess.DEVNULL
    )
    try:
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
            while True:
                with suppress(aiohttp.ClientError):
                    await livekit.room.list_rooms(api.ListRoomsRequest())
                    break
                await asyncio.sleep(0.1)  # nothing says when it listens
        yield server
    finally:
        process.kill()
        await process.wait()


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
        served = await stack.enter_async_context(dev_api_for(nodes[0]))
        postgres = stack.enter_context(run_postgres(durable=False))
        regions = []
        for name, network, node in zip(NAMES, networks, nodes, strict=True):
            ways = [
                await stack.enter_async_context(open_link(server, network.outside))
                for server in (socket_of(postgres), address_of(node), address_of(served.url))
            ]
            deployment = Deployment(node, served, plugins, directory)
            member = Member(
                name,
                directory / name,
                deployment,
                *ways,
                environ={"LIVEKIT_URL": node.url, **variables(name)},
                wrapper=network.wrapper,
            )
            stack.push_async_callback(member.stop)
            regions.append(Region(network, deployment, member))
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

    cluster: Cluster
    stack: AsyncExitStack

    async def sit(self, region: Region) -> Seat:
        """Enter a new learner into a region."""
        return await self.stack.enter_async_context(
            self.cluster.seat_at(region.deployment, self.cluster.script_room())
        )

    async def move(self, seat: Seat, region: Region) -> None:
        """Enter a learner into the same room in another region, in another tab."""
        visitor = seat.visitor
        entered = region.deployment.enter(visitor.token, visitor.user_id, visitor.session_id)
        again: Visitor = await self.stack.enter_async_context(entered)
        seat.listen(again.room)
        seat.also.append(again)


async def cut_off(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Cut a region off from everything, have its learners move, and heal it."""
    seats = await gathered(learners.sit(west) for _ in range(LEARNERS))
    await asyncio.gather(*(seat.taught(seat.came) for seat in seats))
    begun = now()
    tell("cut off")
    west.network.cut()
    active = await east.active()
    tell("failed over", after=round(active - begun, 1))
    # Who has gone does not come back by their old tab when that region is healed.
    leaving = [asyncio.create_task(seat.visitor.room.disconnect()) for seat in seats]
    await asyncio.gather(*(learners.move(seat, east) for seat in seats))
    seats += await gathered(learners.sit(east) for _ in range(NEWCOMERS))
    taught = await asyncio.gather(*(seat.taught(active) for seat in seats))
    gaps = [seat.longest_gap(begun, now()) for seat in seats[:LEARNERS]]
    tell("taught in the other region", taught=sum(taught), **spread("without_tutor", gaps))
    west.network.heal()
    await west.member.running.log.until("region.changed", active=NAMES[1])
    tell("healed")
    await asyncio.gather(asyncio.sleep(SETTLED), *leaving)
    return {
        "failed_over_after": round(active - begun, 1),
        **spread("without_tutor", gaps),
        "taught_at_the_end": sum(taught),
        **await back_by_hand(west, east, learners, seats),
    }


async def back_by_hand(
    west: Region, east: Region, learners: Learners, seats: list[Seat]
) -> dict[str, Any]:
    """Enter a learner into a region on standby, then make it the active one."""
    early = await learners.sit(west)
    seats.append(early)
    await asyncio.sleep(SETTLED)
    stood_by = not early.beats
    begun = now()
    await activate(west)
    active = await west.active()
    served = await early.taught(begun)
    since = now()
    went_on = await asyncio.gather(*(seat.taught(since) for seat in seats[:-1]))
    late = await learners.sit(east)
    await asyncio.sleep(SETTLED)
    return {
        "served_while_standing_by": not stood_by or bool(late.beats),
        "by_hand_after": round(active - begun, 1),
        "served_then_after": round(early.beats[0][0] - begun, 1) if served else None,
        "went_on_elsewhere": sum(went_on),
        **await result(learners, seats),
    }


async def without_ledger(west: Region, east: Region, learners: Learners) -> dict[str, Any]:
    """Cut a region off from ledger and API alone: learners see both regions."""
    seats = await gathered(learners.sit(west) for _ in range(LEARNERS))
    await asyncio.gather(*(seat.taught(seat.came) for seat in seats))
    begun = now()
    for link in (west.member.postgres, west.member.api):
        link.cut()
    active = await east.active()
    tell("failed over", after=round(active - begun, 1))
    both, *_ = seats
    await learners.move(both, east)
    seats += await gathered(learners.sit(east) for _ in range(NEWCOMERS))
    taught = await asyncio.gather(*(seat.taught(active) for seat in seats))
    await asyncio.sleep(SETTLED)
    gaps = [seat.longest_gap(begun, now()) for seat in seats[:LEARNERS]]
    together, healed = both.together(), now()
    for link in (west.member.postgres, west.member.api):
        link.heal()
    await west.member.running.log.until("region.changed", active=NAMES[1])
    tell("healed")
    await asyncio.sleep(2 * SETTLED)
    mine = [at for at, who in both.beats if who == both.beats[0][1]]
    return {
        "failed_over_after": round(active - begun, 1),
        **spread("without_tutor", gaps),
        "taught_at_the_end": sum(taught),
        "two_tutors_while_cut_off": round(together, 1),
        "left_after_healing": round(max(mine) - healed, 1),
        **await result(learners, seats),
    }


async def result(learners: Learners, seats: Sequence[Seat]) -> dict[str, int]:
    """Remove all learners, and count their records."""
    await asyncio.gather(*(one.leave() for seat in seats for one in (seat.visitor, *seat.also)))
    return count(await learners.cluster.records(seats))


async def gathered(work: Any) -> list[Seat]:
    """Return the seats of learners who enter at the same time."""
    return list(await asyncio.gather(*work))


async def activate(region: Region) -> None:
    """Make a region the active one, as an operator does."""
    member = region.member
    environ = {
        **os.environ,
        "PYTHONPATH": str(region.deployment.plugins),
        **region.deployment.environ(),
        "LEDGER_URL": f"postgresql://loqua@{member.postgres.address}/postgres",
        **member.environ,
    }
    config = str(member.directory / "config")
    command = ("region", "activate", member.name, "--config", config)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loqua_host", *command, env=environ, stdout=sys.stderr
    )
    assert await process.wait() == 0


CASES = {"cut_off": cut_off, "without_ledger": without_ledger}


async def main(cases: Sequence[str]) -> int:
    """Rehearse each case with regions of its own."""
    figures: dict[str, Mapping[str, Any]] = {}
    for name in cases:
        async with run_regions() as (west, east), AsyncExitStack() as stack:
            cluster = Cluster([west.member, east.member], [west.deployment])
            figures[name] = await CASES[name](west, east, Learners(cluster, stack))
            tell(name, **figures[name])
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return int(any(one["lost"] or one["doubled"] for one in figures.values()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:] or [*CASES])))

"""Interruptions of lessons when one of three hosts is killed, frozen, cut off or replaced.

Run from the project's root with `python -m tests.bench.hosts [case]...`; prints its figures as JSON
and as a table, and ends with 0 if no record was lost or doubled. Everything is real but the tutor,
who is mute and sends its room a packet three times a second: two LiveKit nodes on Redis, three
hosts, a ledger in Postgres, the development API. Each host reaches the others through proxies that
are cut. Needs Debian's `redis-server` and `postgresql`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any

from tests.bench.cluster import Attendance, HostCluster, Member, run_cluster

from loqua_host.records.leases import LEASE

LEARNERS = 6
NEWCOMERS = 3
DISTURBED = 1.6 * LEASE
"""Seconds that a host stays frozen or cut off: past its lease, and others have taken over."""

SETTLED = 5.0
"""Seconds in which a host that is back would do what it must not."""

STAY = 12.0
"""Seconds of a lesson during the upgrade."""

UPGRADE = "upgrade"

Disturb = Callable[[Member], Any]


def print_progress(what: str, **figures: object) -> None:
    """Print progress."""
    print(json.dumps({"at": round(now(), 1), "what": what, **figures}), file=sys.stderr, flush=True)  # noqa: T201


def now() -> float:
    """Return the moment."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def killed(member: Member) -> AsyncIterator[None]:
    """Kill the host; another takes its place afterwards."""
    member.kill()
    yield
    await member.stop()
    await member.start()


@asynccontextmanager
async def frozen(member: Member) -> AsyncIterator[None]:
    """Stop the host and its jobs, as a virtual machine is paused."""
    with member.frozen():
        yield


@asynccontextmanager
async def cut_off(*links: Any) -> AsyncIterator[None]:
    """Cut links."""
    for link in links:
        link.cut()
    yield
    for link in links:
        link.restore()


@asynccontextmanager
async def stalled(link: Any) -> AsyncIterator[None]:
    """Block all traffic of a link."""
    link.stall()
    yield
    link.restore()


CASES: Mapping[str, Disturb] = {
    "killed": killed,
    "frozen": frozen,
    "without_postgres": lambda member: cut_off(member.postgres),
    "postgres_hangs": lambda member: stalled(member.postgres),
    "without_livekit": lambda member: cut_off(member.livekit),
    "without_api": lambda member: cut_off(member.api),
    "isolated": lambda member: cut_off(member.postgres, member.livekit, member.api),
}


async def rehearse(
    cluster: HostCluster, disturb: Disturb, *, learners: int = LEARNERS, seconds: float = DISTURBED
) -> dict[str, Any]:
    """Cause a fault on the host with most lessons while learners enter and one leaves; count.

    Args:
        cluster: The hosts, with no lesson.
        disturb: What is done to a host.
        learners: How many are taught before.
        seconds: How long it lasts.
    """
    for member in cluster.members:
        member.running.log.since = len(member.running.log.every)
    async with AsyncExitStack() as stack:
        attendances = [
            await stack.enter_async_context(cluster.attendance()) for _ in range(learners)
        ]
        await asyncio.gather(*(attendance.taught(attendance.came) for attendance in attendances))
        victim = max(cluster.members, key=lambda member: member.lessons)
        leaver, *affected = [attendance for attendance in attendances if victim.teaches(attendance)]
        begun = now()
        print_progress("disturbed", host=victim.name, lessons=len(affected) + 1)
        async with disturb(victim):
            newcomers = [
                await stack.enter_async_context(cluster.attendance()) for _ in range(NEWCOMERS)
            ]
            await leaver.visitor.leave()
            await asyncio.sleep(seconds)
            served = sum(bool(attendance.beats) for attendance in newcomers)
        print_progress("healed")
        await asyncio.sleep(SETTLED)
        since = now()
        staying = [attendance for attendance in attendances if attendance is not leaver]
        everyone = [*staying, *newcomers]
        taught = await asyncio.gather(*(attendance.taught(since) for attendance in everyone))
        ended = now()
        for attendance in (one for one, has in zip(everyone, taught, strict=True) if not has):
            print_progress("no tutor", story=sorted(cluster.story(attendance)))
        for attendance in (one for one in everyone if one.together() > 1):
            print_progress(
                "two tutors", story=sorted(cluster.story(attendance)), beats=attendance.beats
            )
        gaps = [attendance.longest_gap(begun, ended) for attendance in affected]
        waits = [
            attendance.beats[0][0] - attendance.came for attendance in newcomers if attendance.beats
        ]
        together = max(attendance.together() for attendance in everyone)
    print_progress("left")
    records = await cluster.records([leaver, *everyone])
    for attendance, found in zip([leaver, *everyone], records, strict=True):
        if found != 1:
            print_progress(f"{found} records", story=sorted(cluster.story(attendance)))
    return {
        "lessons": learners,
        "on_the_host": len(affected) + 1,
        **spread("without_tutor", gaps),
        "newcomers_served": served,
        **spread("newcomers_wait", waits),
        "taught_at_the_end": sum(taught),
        "two_tutors": round(together, 1),
        **count(records),
    }


async def upgrade(cluster: HostCluster) -> dict[str, Any]:
    """Replace one host after another while learners come, stay and leave."""
    attendances: list[Attendance] = []
    gaps: list[float] = []
    done = asyncio.Event()

    async def visits() -> None:
        while not done.is_set():
            async with cluster.attendance() as attendance:
                attendances.append(attendance)
                assert await attendance.taught(attendance.came)
                await asyncio.sleep(STAY)
                gaps.append(attendance.longest_gap(attendance.beats[0][0], now()))

    async with asyncio.TaskGroup() as learners:
        for _ in range(LEARNERS):
            learners.create_task(visits())
        await asyncio.sleep(STAY)
        for member in cluster.members:
            print_progress("stopping", host=member.name)
            await member.stop()
            await member.start()
            print_progress("replaced", host=member.name, **spread("without_tutor", gaps))
        done.set()
    records = await cluster.records(attendances)
    return {
        "lessons": len(attendances),
        **spread("without_tutor", gaps),
        **spread(
            "newcomers_wait",
            [attendance.beats[0][0] - attendance.came for attendance in attendances],
        ),
        "two_tutors": round(max(attendance.together() for attendance in attendances), 1),
        **count(records),
    }


def spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Return median and worst."""
    if not seconds:
        return {}
    return {f"{name}_median": round(median(seconds), 1), f"{name}_worst": round(max(seconds), 1)}


def count(records: Sequence[int]) -> dict[str, int]:
    """Return how many records were lost and doubled."""
    return {
        "records": sum(records),
        "lost": sum(one == 0 for one in records),
        "doubled": sum(one > 1 for one in records),
    }


COLUMNS = {
    "lessons": "lessons",
    "without_tutor_median": "without a tutor, median s",
    "without_tutor_worst": "worst s",
    "newcomers_wait_worst": "newcomers wait, worst s",
    "two_tutors": "two tutors, s",
    "lost": "records lost",
    "doubled": "doubled",
}


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as a table in Markdown."""
    rows = [["case", *COLUMNS.values()], ["---"] * (len(COLUMNS) + 1)]
    rows += [[name, *(str(one.get(key, "")) for key in COLUMNS)] for name, one in figures.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def main(cases: Sequence[str]) -> int:
    """Rehearse."""
    figures = {}
    async with run_cluster() as cluster:
        for name in cases:
            figures[name] = (
                await upgrade(cluster) if name == UPGRADE else await rehearse(cluster, CASES[name])
            )
            print_progress(name, **figures[name])
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    print(table(figures))  # noqa: T201  # for people
    return int(any(one["lost"] or one["doubled"] for one in figures.values()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:] or [*CASES, UPGRADE])))

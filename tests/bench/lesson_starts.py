"""Lessons started per second, and the duration of a start, with one, two and three hosts.

Run `python -m tests.bench.lesson_starts` in the project's root; it prints its figures as JSON. A
host is a process with the real lessons, link, core and delivery on one ledger in Postgres. LiveKit,
the API and the jobs are simulated, as in many_lessons.py: a machine starts two jobs at a time, and
each takes a second, as on two cores. Without that second (`ledger alone`), this machine's cores and
its Postgres are the only limit.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.bench.many_lessons import InProcessHost, deployment, teach

from loqua_host.dev.postgres import new_schema, run_postgres
from loqua_host.lessons.tutors import TUTOR
from loqua_host.link.client import open_link
from loqua_host.link.messages import Join, Welcome
from loqua_host.link.server import JobRef

HOSTS = (1, 2, 3)
STARTS = 2
"""Jobs that a simulated machine starts at a time."""
START_SECONDS = 1.0
AT_ONCE = 6
SECONDS = 8.0
WARM_UP = 2.0


async def drive(name: str, url: str, start_seconds: float) -> None:
    """Send learners to a host, one after another, and print how long each start took."""
    starts, numbers = asyncio.Semaphore(STARTS), count()
    took: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        async with deployment(Path(directory), url) as host:
            counted_from = time.monotonic() + WARM_UP
            ends = counted_from + SECONDS

            async def send_learners() -> None:
                while time.monotonic() < ends:
                    number = f"{name}-{next(numbers)}"
                    seconds = await start_lesson(host, number, starts, start_seconds)
                    if counted_from <= time.monotonic() < ends:
                        took.append(seconds)

            await asyncio.gather(*(send_learners() for _ in range(AT_ONCE)))
            await host.delivery.wait_idle()
    print(json.dumps(took))  # noqa: T201  # for the parent


async def start_lesson(
    host: InProcessHost, number: str, starts: asyncio.Semaphore, start_seconds: float
) -> float:
    """Start a lesson in a new room; return the seconds from the job's process to the welcome."""
    room, user = f"room-{number}", f"user-{number}"
    host.rooms.enter(room, user, "standard", user_id=user)
    job = JobRef(f"job-{number}", room, "conversation")
    async with starts:
        begun = time.monotonic()
        host.jobs[job.job_id] = job
        host.lessons.begin(job)
        host.rooms.enter(room, f"agent-{job.job_id}", "agent", **{TUTOR: job.tutor})
        await asyncio.sleep(start_seconds)
    async with open_link(host.link.path, job.job_id) as link:
        await link.send(Join(identity=user))
        assert isinstance(await link.receive(), Welcome)
        took = time.monotonic() - begun
        await teach(link, crashes=False)
    del host.jobs[job.job_id], host.rooms.people[room]
    return took


async def measure(hosts: int, url: str, start_seconds: float) -> dict[str, Any]:
    """Run so many hosts side by side."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.lesson_starts", "--drive", f"h{number}"),
            *("--url", url, "--start", str(start_seconds)),
            stdout=PIPE,
        )
        for number in range(hosts)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    took = [seconds for output, _ in outputs for seconds in json.loads(output)]
    return {
        "hosts": hosts,
        "begun_a_second": round(len(took) / SECONDS, 2),
        "start_median": round(median(took), 3),
        "start_p95": round(quantiles(took, n=20)[-1], 3),
    }


async def main() -> int:
    """Measure."""
    figures: dict[str, list[dict[str, Any]]] = {"machines": [], "ledger alone": []}
    with run_postgres() as server:
        for name, start_seconds in (("machines", START_SECONDS), ("ledger alone", 0.0)):
            for hosts in HOSTS:
                with new_schema(server) as url:
                    figures[name].append(await measure(hosts, url, start_seconds))
                    print(json.dumps({name: figures[name][-1]}), file=sys.stderr, flush=True)  # noqa: T201
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--drive")
    arguments.add_argument("--url", default="")
    arguments.add_argument("--start", type=float, default=START_SECONDS)
    given = arguments.parse_args()
    if given.drive:
        asyncio.run(drive(given.drive, given.url, given.start))
        sys.exit(0)
    sys.exit(asyncio.run(main()))

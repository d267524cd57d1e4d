"""The cost of very many lessons' progress: CPU time, and the delay until it is saved.

The host's own parts run in this process, as in many_lessons.py; jobs, which say on their links what
lessons say, and the development API run in another. LiveKit's rooms are in memory. A tick is
acknowledged when the ledger has it on disk, which the host's log tells.
"""

import asyncio
import gc
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Final, Never

from tests.bench.many_lessons import AGENT_ID, TURNS, InProcessHost, deployment
from tests.bench.processes import spawned
from tests.integration.host.conftest import dev_api_for

from loqua_host.contract.records import Progress
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.runtime import Runtime
from loqua_host.dev.livekit import LiveKitServer
from loqua_host.lessons.tutors import TUTOR
from loqua_host.link.client import open_link
from loqua_host.link.messages import Checkpoint, Join, Welcome
from loqua_host.link.server import JobRef
from loqua_host.system.sockets import SocketHandle
from loqua_host.system.tasks import background

__all__ = ["ProgressCost", "measure"]

LESSONS: Final = 1000
EVERY: Final = 30.0
BEGUN_EVERY: Final = 0.04
"""Seconds between the begins of two lessons."""

PATIENCE: Final = 120.0
"""Seconds in which the last lessons begin."""

WATCHED: Final = 30.0
"""In which each lesson ticks once."""
CALLS: Final = 1000
"""A second, of which the host's own limit is out of the way."""

Sent = dict[tuple[str, int], float]
"""When each tick was sent, by learner and number, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class ProgressCost:
    """The cost of the lessons.

    Attributes:
        cores: Processors that the host takes.
        p99: Seconds until a tick is safe, which one in a hundred exceeds.
    """

    cores: float
    p99: float


def measure(lessons: int = LESSONS, watched: float = WATCHED) -> ProgressCost:
    """Return what so many lessons cost, over so many seconds.

    Raises:
        TimeoutError: If they do not all begin.
    """
    return asyncio.run(_measure(lessons, watched))


async def _measure(lessons: int, watched: float) -> ProgressCost:
    gc.freeze()  # as a host does once it has imported its modules
    with (
        tempfile.TemporaryDirectory(prefix="loqua-bench-") as name,
        spawned(_run_outside, lessons) as outside,
    ):
        opening = _opening(*await asyncio.to_thread(outside.recv))
        async with deployment(Path(name), open_api=opening) as host:
            outside.send(host.link)
            await _begin(host, outside, lessons)
            await asyncio.sleep(EVERY)  # all tick, and what their begin has left is done
            begun, cpu = time.time(), time.process_time()
            await asyncio.sleep(watched)
            cores = (time.process_time() - cpu) / watched
            outside.send(None)
            sent: Sent = await asyncio.to_thread(outside.recv)
        taken = list(_taken(sent, Path(name) / "log", begun, begun + watched))
    return ProgressCost(cores, quantiles(taken, n=100)[98])


def _opening(
    url: str, jwt: str, secret: str
) -> Callable[[Runtime], AbstractAsyncContextManager[LoquaApi]]:
    settings = CoreSettings(api_base_url=url, rate_limit=CALLS)
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": jwt, "SHARED_SECRET": secret})
    return lambda runtime: LoquaApi.open(settings, secrets, runtime=runtime)


async def _begin(host: InProcessHost, jobs: Connection, lessons: int) -> None:
    """Enter learners, and wait until all are taught."""
    for number in range(lessons):
        user, room = f"user-{number}", f"room-{number}"
        job = JobRef(f"job-{number}", room, "conversation")
        host.rooms.enter(room, user, "standard", user_id=user)
        host.rooms.enter(room, f"agent-{job.job_id}", "agent", **{TUTOR: job.tutor})
        host.jobs[job.job_id] = job
        host.lessons.begin(job)
        jobs.send((job.job_id, user))
        await asyncio.sleep(BEGUN_EVERY)
    async with asyncio.timeout(PATIENCE):
        while len(host.lessons.live()) < lessons:  # noqa: ASYNC110  # the host has no event for it
            await asyncio.sleep(0.1)


def _taken(sent: Sent, log: Path, first: float, last: float) -> Iterator[float]:
    """Yield the seconds from the sending of each tick to the log line that it is in the ledger."""
    for line in map(json.loads, log.read_text().splitlines()):
        if line["event"] == "progress.made":
            moment = sent[line["user_id"], line["words"]]
            if first <= moment < last:
                yield datetime.fromisoformat(line["timestamp"]).timestamp() - moment


def _run_outside(lessons: int, host: Connection) -> None:
    asyncio.run(_serve(host, lessons))


async def _serve(host: Connection, lessons: int) -> None:
    """Answer as the Loqua API, and hold a lesson for each job that the host names.

    At the end, tell the host when each tick was sent.
    """
    livekit = LiveKitServer("ws://127.0.0.1:1", "nobody", "nobody connects with this")
    sent: Sent = {}
    async with dev_api_for(livekit) as api, background() as tasks:
        for number in range(lessons):
            (await api.client.put(f"/dev/learners/user-{number}", json={})).raise_for_status()
        jwt = api.settings.mint_agent_jwt(AGENT_ID)
        host.send((api.url, jwt, api.settings.shared_secret.get_secret_value()))
        link: SocketHandle = await asyncio.to_thread(host.recv)
        while named := await asyncio.to_thread(host.recv):
            tasks.create_task(_teach(link, *named, sent))
        host.send(sent)


async def _teach(link: SocketHandle, job_id: str, user: str, sent: Sent) -> Never:
    async with open_link(link.path, job_id) as open_to_host:
        await open_to_host.send(Join(identity=user))
        assert isinstance(await open_to_host.receive(), Welcome)
        await asyncio.sleep(EVERY * random.random())  # noqa: S311  # lessons tick whenever they began
        number = 0
        while True:
            number += 1
            sent[user, number] = time.time()
            await open_to_host.send(
                Checkpoint(
                    seconds=number * EVERY,
                    progress=Progress(words_learned=number),
                    state={"step": number},
                    turns=TURNS,
                )
            )
            await asyncio.sleep(EVERY)

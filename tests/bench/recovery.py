"""The time without a tutor after a crash, at exhausted capacity, and between hosts.

Run from the project's root with `python -m tests.bench.recovery`; prints its figures as JSON and
ends with 0 if every learner was taught once. Everything is real but the tutor, who is mute.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.integration.host.conftest import (
    THIRD_PARTY,
    Deployment,
    HostProcess,
    dev_api_for,
    explicit,
    new_room,
)

from loqua_host.dev.livekit import run_livekit

AGENT = "bench"
CRASHES = 10
LEARNERS = 20
PLACES = 5
LESSONS = 5
"""That run when their host ends."""


def at(line: dict[str, Any]) -> float:
    """Return the moment of a log line."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


async def crash(deployment: Deployment, host: HostProcess) -> dict[str, float]:
    """Kill a job in the middle of its lesson and see what it costs."""
    room = new_room()
    async with deployment.visit(room, agent_name=AGENT) as learner:
        await host.log.until("probe.tick", room=room, number=3)
        pid = host.log.find("probe.tick", room=room)[-1]["pid"]
        os.kill(pid, signal.SIGKILL)
        lost = await host.log.until("lesson.interrupted", user_id=learner.user_id)
        resumed = await host.log.until("lesson.resumed", user_id=learner.user_id)
        ready = await host.log.until("probe.ready", room=room, count=2)
        await host.log.until("progress.made", user_id=learner.user_id, count=5)
    await deployment.api.until("sessions", learner.user_id)
    words = [line["words"] for line in host.log.find("progress.made", user_id=learner.user_id)]
    assert words == [*range(1, len(words) + 1)], words
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1
    return {"resumed": at(resumed) - at(lost), "ready": at(ready) - at(lost)}


async def full_host(deployment: Deployment, host: HostProcess) -> dict[str, float]:
    """Enter many learners at once; count who is taught, how often and after how long."""
    async with AsyncExitStack() as stack:
        begun = asyncio.get_running_loop().time()
        rooms = [new_room() for _ in range(LEARNERS)]
        for room in rooms:
            host.script(room, tutor="probe-specialist", ends_at=5)
        visits = (deployment.visit(room, agent_name=AGENT) for room in rooms)
        learners = [await stack.enter_async_context(visit) for visit in visits]
        for learner in learners:
            await deployment.api.until("sessions", learner.user_id)
        seconds = asyncio.get_running_loop().time() - begun
        opened = [host.log.find("lesson.opened", user_id=one.user_id) for one in learners]
        records = [await deployment.api.arrivals("sessions", one.user_id) for one in learners]
    served = [(len(lessons), len(sent)) for lessons, sent in zip(opened, records, strict=True)]
    assert served == [(1, 1)] * LEARNERS, served
    return {"all_recorded": seconds, "per_place_and_lesson": seconds * PLACES / LEARNERS}


async def next_host(deployment: Deployment, directory: Path, end: signal.Signals) -> dict[str, Any]:
    """End a host in the middle of its lessons, start another, and see what becomes of them.

    Each lesson is resumed and has one record, whether its host was killed or had too little time to
    stop.
    """
    rooms = [new_room() for _ in range(LESSONS)]
    async with AsyncExitStack() as stack:
        async with deployment.host(directory, explicit(AGENT)) as host:
            visits = (deployment.visit(room, agent_name=AGENT) for room in rooms)
            learners = [await stack.enter_async_context(visit) for visit in visits]
            for learner in learners:
                await host.log.until("progress.made", user_id=learner.user_id, count=2)
            host.process.send_signal(end)
            await host.ended()
        async with deployment.host(directory, explicit(AGENT)) as host:
            ready = await host.log.until("host.ready")
            again = [await host.log.until("lesson.resumed", user_id=it.user_id) for it in learners]
            await stack.aclose()
            for learner in learners:
                await deployment.api.until("sessions", learner.user_id)
        records = [await deployment.api.arrivals("sessions", one.user_id) for one in learners]
    ids = [{one["payload"]["sessionId"] for one in of_one} for of_one in records]
    assert [len(one) for one in ids] == [len(one) for one in records] == [1] * LESSONS, ids
    return {
        "taught_again": len(again),
        "records": sum(map(len, records)),
        "after_ready": max(at(line) for line in again) - at(ready),
    }


async def main() -> int:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plugins = directory / "plugins"
        command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
        subprocess.run((*command, "--target", plugins, THIRD_PARTY), check=True)  # noqa: S603, ASYNC221  # ours, before anything runs
        async with run_livekit() as livekit, dev_api_for(livekit) as api:
            deployment = Deployment(livekit, api, plugins, directory)
            lessons = {"max_lessons": PLACES}
            async with deployment.host(
                directory / "host", explicit(AGENT), lessons=lessons
            ) as host:
                crashes = [await crash(deployment, host) for _ in range(CRASHES)]
                full = await full_host(deployment, host)
            ends = {
                end.name: await next_host(deployment, directory / end.name, end)
                for end in (signal.SIGKILL, signal.SIGTERM)
            }
    figures = {
        key: {
            "median": round(median(one[key] for one in crashes), 3),
            "worst": round(max(one[key] for one in crashes), 3),
        }
        for key in crashes[0]
    }
    print(json.dumps({"crashes": figures, "full_host": full, "next_host": ends}, indent=2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

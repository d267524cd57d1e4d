"""A full host: the time until learners are notified that they wait, and until they are served.

Run `uv run python -m tests.bench.full_host`: 20 learners come at once to a host with 5 places,
stay 5 s each once a lesson has begun, and leave; the host would wait 20 s for each. Prints as
JSON, in seconds from a learner's coming: when each lesson began, when those who had to wait were
shown so (an attribute) and first got the sound of it, how many of them by a voice; and whether
each had one lesson and one record. The tutor's voice hums.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from livekit import rtc
from tests.integration.host.conftest import (
    THIRD_PARTY,
    Deployment,
    HostProcess,
    dev_api_for,
    explicit,
    new_room,
    write_config,
)

from loqua_host.dev.livekit import run_livekit

AGENT = "full-host"
PLACES, LEARNERS, STAY, RECONNECT_TIMEOUT = 5, 20, 5.0, 20.0
WAITING = "loqua.waiting"
TUTOR = "loqua.tutor"
PATIENCE = 300.0


@dataclass
class QueueVisit:
    """The events of a learner's visit, in seconds since the learner entered."""

    user_id: str = ""
    shown: float | None = None
    heard: float | None = None
    served: float | None = None


async def visit(deployment: Deployment, host: HostProcess) -> QueueVisit:
    """Enter, wait for a lesson, stay for a while and leave."""
    found, loop = QueueVisit(), asyncio.get_running_loop()
    async with deployment.visit(new_room(), agent_name=AGENT) as visitor:
        came, room = loop.time(), visitor.room
        found.user_id = visitor.user_id

        def on_attributes(changed: dict[str, str], who: rtc.Participant) -> None:
            mine = who is room.local_participant
            if mine and changed.get(WAITING) == "true" and found.shown is None:
                found.shown = loop.time() - came

        def on_track(_track: object, _what: object, who: rtc.RemoteParticipant) -> None:
            if TUTOR not in who.attributes and found.heard is None:
                found.heard = loop.time() - came

        room.on("participant_attributes_changed", on_attributes)
        room.on("track_subscribed", on_track)
        async with asyncio.timeout(PATIENCE):
            while not host.log.find("lesson.opened", user_id=found.user_id):  # noqa: ASYNC110  # polls a log
                await asyncio.sleep(0.05)
        found.served = loop.time() - came
        await asyncio.sleep(STAY)
    return found


def configure(directory: Path) -> Path:
    """Write the configuration of a small host whose tutor has a voice."""
    config = write_config(
        directory,
        explicit(AGENT),
        {"max_lessons": PLACES, "reconnect_timeout": RECONNECT_TIMEOUT, "tick_every": 1},
    )
    file = config / "host.yaml"
    host = yaml.safe_load(file.read_text())
    host["engines"] = {"tts": {"use": "loqua_probe.voice:Hum"}}
    host["messages"] = {"tutors_busy": {"en": "One will be with you soon."}}
    file.write_text(yaml.safe_dump(host))
    return config


async def measure(deployment: Deployment, host: HostProcess) -> dict[str, Any]:
    """Enter all learners, and record what happens to each."""
    visits = await asyncio.gather(*(visit(deployment, host) for _ in range(LEARNERS)))
    for one in visits:
        async with asyncio.timeout(PATIENCE):
            while not await deployment.api.arrivals("sessions", one.user_id):  # noqa: ASYNC110  # polls an API
                await asyncio.sleep(0.5)
    await asyncio.sleep(RECONNECT_TIMEOUT)  # what would be recorded twice is by now
    records = [len(await deployment.api.arrivals("sessions", one.user_id)) for one in visits]
    opened = [len(host.log.find("lesson.opened", user_id=one.user_id)) for one in visits]
    visits.sort(key=lambda one: one.served or 0.0)
    waited = visits[PLACES:]
    served = [round(one.served or 0.0, 1) for one in visits]
    return {
        "served": served,
        "rounds": [round(later - served[0], 1) for later in served[::PLACES]],
        "shown": _spread([one.shown for one in waited]),
        "heard": _spread([one.heard for one in waited]),
        "announced": _spread([line["seconds"] for line in host.log.find("learner.notified_aloud")]),
        "spoken": len(host.log.find("learner.notified_aloud", spoken=True)),
        "records": sum(records),
        "once": set(records) == set(opened) == {1},
    }


def _spread(seconds: Sequence[float | None]) -> dict[str, float]:
    known = sorted(one for one in seconds if one is not None)
    of = {"of": len(seconds), "known": len(known)}
    if not known:
        return of
    return of | {"median": round(median(known), 2), "last": round(known[-1], 2)}


async def main() -> int:
    """Measure."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plugins = directory / "plugins"
        command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
        subprocess.run((*command, "--target", plugins, THIRD_PARTY), check=True)  # noqa: S603, ASYNC221  # ours, before anything runs
        livekit = await stack.enter_async_context(run_livekit())
        api = await stack.enter_async_context(dev_api_for(livekit))
        deployment = Deployment(livekit, api, plugins, directory)
        host = await stack.enter_async_context(deployment.run(configure(directory / "host")))
        figures = await measure(deployment, host)
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""The time gained by LiveKit's webhooks until a lesson is prepared and ready.

Run from the project's root with `python -m tests.bench.prefetching [seconds of the API]`. Two
hosts are visited in turn, of which only one hears LiveKit; prints medians as JSON, in seconds
from the accepted job, and how long learners who return to a room are alone there.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from tests.integration.host.conftest import (
    THIRD_PARTY,
    Deployment,
    HostProcess,
    dev_api_for,
    explicit,
    new_room,
)

from loqua_host.dev.livekit import run_livekit

VISITS = 20
RETURNS = 5


def at(line: dict[str, Any]) -> float:
    """Return the moment of a log line."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


async def visit(deployment: Deployment, host: HostProcess, agent_name: str) -> dict[str, float]:
    """Enter as a learner; return when each step happened, in seconds from the accepted job."""
    room = new_room()
    async with deployment.visit(room, agent_name=agent_name) as learner:
        await host.log.until("probe.ready", room=room)
        accepted = at(host.log.find("job.accepted", room=room)[0])
        seen = {
            event: at(found[0]) - accepted
            for event in ("learner.prefetched", "learner.found", "lesson.opened", "probe.ready")
            if (found := host.log.find(event, room=room))
        }
    await deployment.api.until("sessions", learner.user_id)
    assert len(await deployment.api.arrivals("exchanges", learner.user_id)) == 1
    return seen


async def rejoin(deployment: Deployment, host: HostProcess, agent_name: str) -> float:
    """Return as a learner after the lesson; return the seconds until the next lesson."""
    room = new_room()
    async with deployment.visit(room, agent_name=agent_name) as learner:
        await host.log.until("probe.ready", room=room)
    await deployment.api.until("sessions", learner.user_id)
    async with deployment.visit(room, user_id=learner.user_id, agent_name=agent_name):
        returned = datetime.now(UTC).timestamp()
        ready = at(await host.log.until("probe.ready", room=room, count=2))
    await deployment.api.until("sessions", learner.user_id, count=2)
    return ready - returned


def medians(visits: list[dict[str, float]]) -> dict[str, float]:
    """Return the median moment of each event."""
    return {
        event: round(median(one[event] for one in visits if event in one), 3) for event in visits[0]
    }


def install(directory: Path) -> Path:
    """Install the tutor that all of this is measured with."""
    plugins = directory / "plugins"
    command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    subprocess.run((*command, "--target", plugins, THIRD_PARTY), check=True)  # noqa: S603  # ours
    return plugins


def listen_at(directory: Path, port: int) -> Path:
    """Configure a host to listen there."""
    overlay = directory / "config" / "environments" / "development.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(yaml.safe_dump({"ops": {"port": port}}))
    return directory


async def main(delay: float) -> int:
    """Measure."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    webhook = f"http://127.0.0.1:{port}/livekit/webhook"
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        livekit = await stack.enter_async_context(run_livekit(webhook=webhook))
        api = await stack.enter_async_context(dev_api_for(livekit))
        deployment = Deployment(livekit, api, install(directory), directory)
        hosts = [
            (
                "hearing",
                await stack.enter_async_context(
                    deployment.host(listen_at(directory / "a", port), explicit("hearing"))
                ),
            ),
            (
                "deaf",
                await stack.enter_async_context(deployment.host(directory / "b", explicit("deaf"))),
            ),
        ]
        seen: dict[str, list[dict[str, float]]] = {"hearing": [], "deaf": []}
        async with api.misbehaving({"kind": "latency", "seconds": delay}):
            for _ in range(VISITS):
                for name, host in hosts:
                    seen[name].append(await visit(deployment, host, name))
        returns = {
            name: [await rejoin(deployment, host, name) for _ in range(RETURNS)]
            for name, host in hosts
        }
    figures: dict[str, Any] = {name: medians(visits) for name, visits in seen.items()}
    figures["seconds_alone_after_a_return"] = {
        name: round(median(seconds), 2) for name, seconds in returns.items()
    }
    figures["api_seconds"] = delay
    figures["foreseen"] = sum("learner.prefetched" in one for one in seen["hearing"])
    hearing, deaf = (figures[name]["probe.ready"] for name in ("hearing", "deaf"))
    figures["ready_ratio"] = round(hearing / deaf, 2)
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.1)))

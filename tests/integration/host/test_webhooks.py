"""A real LiveKit tells a real host who comes, before it offers the job."""

import os
from pathlib import Path

import httpx
import pytest
import yaml
from tests.integration.host.conftest import Deployment, HostProcess, dev_api_for, explicit, new_room

from loqua_host.dev.livekit import run_livekit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_livekits_webhook_has_the_lesson_prepared_before_its_job(
    third_party: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """The learner's token is exchanged once; what LiveKit did not sign changes nothing."""
    overlay = tmp_path / "config" / "environments" / "development.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(yaml.safe_dump({"ops": {"port": unused_tcp_port}}))
    webhook = f"http://127.0.0.1:{unused_tcp_port}/livekit/webhook"
    own = {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}
    async with run_livekit(webhook=webhook, environ=own) as livekit, dev_api_for(livekit) as api:
        deployment = Deployment(livekit, api, third_party, tmp_path)
        async with deployment.host(tmp_path, explicit("foreseen")) as host:
            async with httpx.AsyncClient() as stranger:
                forged = {"event": "participant_joined", "room": {"name": "room"}}
                assert (await stranger.post(webhook, json=forged)).status_code == 401
            for _ in range(5):  # a machine that stalls may let the job be the first
                steps = await steps_of_a_lesson(deployment, host)
                if steps[0] == "learner.prefetched":
                    break
    assert steps[0] == "learner.prefetched"
    assert sorted(steps) == ["job.accepted", "learner.found", "learner.prefetched"]


async def steps_of_a_lesson(deployment: Deployment, host: HostProcess) -> list[str]:
    """Play a lesson; return what was known of its learner, and when its job came, in order."""
    room = new_room()
    async with deployment.visit(room, agent_name="foreseen") as learner:
        await host.log.until("probe.ready", room=room)
    await deployment.api.until("sessions", learner.user_id)
    assert len(await deployment.api.arrivals("exchanges", learner.user_id)) == 1
    events = [line["event"] for line in host.log.lines if line.get("room") == room]
    return [it for it in events if it in ("learner.prefetched", "learner.found", "job.accepted")]

"""Webhooks of a real LiveKit server to a real host, before it offers the job."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    dev_api_for,
    explicit,
    new_room,
)
from tests.integration.host.livekit_proxy import open_livekit_proxy

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
    async with (
        run_livekit(webhook=webhook, environ=own) as livekit,
        dev_api_for(livekit) as api,
        open_livekit_proxy(livekit.url) as proxy,
    ):
        deployment = Deployment(livekit, api, third_party, tmp_path)
        through = {"LIVEKIT_URL": proxy.url}
        async with (
            deployment.host(tmp_path, explicit("foreseen"), environ=through) as host,
            AsyncExitStack() as visits,
        ):
            async with httpx.AsyncClient(timeout=PATIENCE) as stranger:
                forged = {"event": "participant_joined", "room": {"name": "room"}}
                assert (await stranger.post(webhook, json=forged)).status_code == 401
            room = new_room()
            with proxy.hold("/agent"):
                learner = await visits.enter_async_context(
                    deployment.visit(room, agent_name="foreseen")
                )
                await host.log.until("learner.prefetched", room=room)
                assert not host.log.find("job.accepted", room=room)
            await host.log.until("probe.ready", room=room)
            await learner.leave()
            await api.until("sessions", learner.user_id)
            assert len(await api.arrivals("exchanges", learner.user_id)) == 1
    assert len(host.log.find("learner.prefetched", room=room)) == 1
    assert len(host.log.find("learner.found", room=room)) == 1

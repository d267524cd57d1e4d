"""An outage of LiveKit during a lesson, which is not a crash of the tutor."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.host.conftest import Deployment, explicit, new_room

from loqua_host.dev.livekit import run_livekit
from loqua_host.dev.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "deserted"


async def test_a_lesson_that_lost_livekit_is_interrupted_and_not_counted_as_crashed(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Its job says so before it leaves; one that is killed says nothing."""
    async with AsyncExitStack() as running:
        # With the key that the API signs learners' tokens with.
        other = replace(deployment.livekit, url=f"ws://127.0.0.1:{free_port()}")
        livekit = await running.enter_async_context(run_livekit(again=other))
        here = replace(deployment, livekit=livekit)
        async with here.host(tmp_path, explicit(AGENT)) as host:
            room = new_room()
            async with here.visit(room, agent_name=AGENT) as learner:
                await host.log.until("progress.made", user_id=learner.user_id)
                await running.aclose()
                await host.log.until("lesson.connection_lost", user_id=learner.user_id)
                await host.log.until("lesson.interrupted", user_id=learner.user_id)
    [lost] = host.log.find("lesson.interrupted", user_id=learner.user_id)
    assert lost["crashed"] is False

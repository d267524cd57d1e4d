"""A tutor whose own connection to the room breaks."""

import pytest
from livekit.agents.types import TOPIC_CHAT
from tests.integration.host.conftest import Deployment, HostProcess, new_room

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_tutor_whose_connection_breaks_goes_on_once_it_is_mended(
    deployment: Deployment, host: HostProcess
) -> None:
    """LiveKit repairs it; the host sees that the learner is still the same.

    The tutor hears and is no ghost that is silent from then on (livekit/agents#4028).
    """
    room = new_room()
    host.script(room, tutor="probe-specialist", reconnects_at=2)
    async with deployment.visit(room, agent_name="probe-specialist") as learner:
        await host.log.until("lesson.reconnecting", room=room)
        await host.log.until("lesson.reconnected", room=room)
        await host.log.until("learner.returned", room=room)
        await learner.room.local_participant.send_text("¿Qué tal?", topic=TOPIC_CHAT)
        await host.log.until("probe.heard", room=room)
        await host.log.until("probe.tick", room=room, number=4)
    record = await deployment.api.until("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id
    assert not host.log.find("lesson.resumed", room=room)

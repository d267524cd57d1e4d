"""Several learners with one tutor in a real room: audio and identities."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit.agents.types import TOPIC_CHAT
from livekit.api import AccessToken, VideoGrants
from tests.integration.host.conftest import (
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "several"


async def write(visitor: SilentLearner, text: str) -> None:
    """Send a message to the room's chat."""
    await visitor.room.local_participant.send_text(text, topic=TOPIC_CHAT)


def other_participants(deployment: Deployment, room: str) -> dict[str, str]:
    """Return the tokens of those in a room whom no tutor is to hear."""
    made = AccessToken(deployment.livekit.api_key, deployment.livekit.api_secret).with_identity(
        "an-agent"
    )
    made = made.with_kind("agent").with_attributes({"user_id": "user_agent"})
    return {
        "unknown": deployment.token(room, {}),
        "hidden": deployment.token(room, {"user_id": "user_hidden"}, hidden=True),
        "agent": made.with_grants(VideoGrants(room_join=True, room=room, agent=True)).to_jwt(),
    }


def received(host: HostProcess, room: str) -> list[tuple[str, str | None]]:
    """Return the messages that the tutor of a room received, and from whom."""
    lines = host.log.find("probe.heard", room=room, typed=True)
    return [(line["text"], line["learner"]) for line in lines]


async def test_a_tutor_that_hears_everyone_is_told_who_of_them_types(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Strangers, hidden participants and agents type in vain; the record is the first one's."""
    tutors = {name: {**it, "audio_input": "all"} for name, it in explicit(AGENT).items()}
    room = new_room()
    async with deployment.host(tmp_path, tutors) as host, AsyncExitStack() as stack:
        first = await stack.enter_async_context(deployment.visit(room, agent_name=AGENT))
        await host.log.until("probe.ready", room=room)
        async with deployment.visit(room, agent_name=AGENT) as second:
            await host.log.until("probe.tick", room=room, others=1)
            for name, token in other_participants(deployment, room).items():
                stranger = await stack.enter_async_context(deployment.enter(token, name, ""))
                await write(stranger, f"from {name}")
            await write(second, "¿Qué tal?")
            await host.log.until("probe.heard", room=room)
            await write(first, "Bien.")
            await host.log.until("probe.heard", room=room, count=2)
            await asyncio.gather(write(first, "¿Y tú?"), write(second, "¡Hola!"))
            await host.log.until("probe.heard", room=room, count=4)
        said = received(host, room)
        assert said[:2] == [("¿Qué tal?", second.user_id), ("Bien.", first.user_id)]
        assert set(said[2:]) == {("¿Y tú?", first.user_id), ("¡Hola!", second.user_id)}
        await first.leave()
        await deployment.api.until("sessions", first.user_id)
    assert not await deployment.api.arrivals("sessions", second.user_id)


async def test_a_tutor_that_hears_its_learner_alone_takes_no_other_text(
    deployment: Deployment, host: HostProcess
) -> None:
    """It gets the other learner's name all the same."""
    async with deployment.visit() as first:
        await host.log.until("probe.ready", room=first.name)
        async with deployment.visit(first.name) as second:
            await host.log.until("probe.tick", room=first.name, others=1)
            await write(second, "¿Qué tal?")
            await write(first, "Bien.")
            await host.log.until("probe.heard", room=first.name)
            await host.log.until("progress.made", user_id=first.user_id, count=3)
    assert received(host, first.name) == [("Bien.", first.user_id)]

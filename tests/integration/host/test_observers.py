"""Observers, who are not learners, and tutors whose identity another participant takes."""

import pytest
from livekit.api import AccessToken, VideoGrants
from tests.integration.host.conftest import Deployment, HostProcess, new_room

from loqua_host.dev.learner import joined

pytestmark = pytest.mark.asyncio(loop_scope="session")

HIDDEN = {"hidden": True}
LISTENER = {"can_publish": False, "can_publish_data": False}


@pytest.mark.parametrize("grants", [HIDDEN, LISTENER], ids=["hidden", "listener"])
async def test_a_learner_is_taught_at_once_behind_an_observer(
    deployment: Deployment, host: HostProcess, grants: dict[str, bool]
) -> None:
    """The observer came first, with a user_id of its own, and has no lesson."""
    room = new_room()
    attributes = {"user_id": "user_observer", "sessionId": f"visit-{room}"}
    async with deployment.enter(
        deployment.token(room, attributes, **grants), "user_observer", ""
    ) as observer:
        async with deployment.visit(room) as learner:
            opened = await host.log.until("lesson.opened", room=room)
            assert opened["user_id"] == learner.user_id
            await host.log.until("probe.ready", room=room)
            await observer.met()
        await deployment.api.until("sessions", learner.user_id)
    assert not await deployment.api.arrivals("sessions", "user_observer")
    assert not host.log.find("learner.found", user_id="user_observer")


async def test_an_observer_alone_has_no_tutor_called(
    deployment: Deployment, host: HostProcess
) -> None:
    """LiveKit's own dispatch brings one job, which waits in vain."""
    room = new_room()
    token = deployment.token(room, {"user_id": "user_lurker"}, **HIDDEN)
    async with deployment.enter(token, "user_lurker", ""):
        async with deployment.visit() as other:  # in whose 8 s the reconciler looks at all rooms
            await host.log.until("progress.made", user_id=other.user_id, count=25)
        assert not host.log.find("tutor.called", room=room)
        assert not host.log.find("learner.found", room=room)


async def test_a_tutor_whose_identity_is_taken_comes_back_to_its_learner(
    deployment: Deployment, host: HostProcess
) -> None:
    """The lesson goes on where it was, and has one record."""
    async with deployment.visit() as learner:
        await host.log.until("progress.made", room=learner.name)
        taken = learner.tutors[0].identity
        made = AccessToken(deployment.livekit.api_key, deployment.livekit.api_secret).with_identity(
            taken
        )
        token = made.with_grants(VideoGrants(room_join=True, room=learner.name)).to_jwt()
        async with joined(deployment.livekit.url, token):
            await host.log.until("lesson.interrupted", user_id=learner.user_id)
        await host.log.until("lesson.resumed", user_id=learner.user_id)
        await host.log.until("probe.ready", room=learner.name, count=2)
    await deployment.api.until("sessions", learner.user_id)
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1

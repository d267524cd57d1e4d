"""Recovery in real rooms: returning learners, waits for capacity, and no second tutor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from livekit.api import UpdateParticipantRequest
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)

from loqua_host.lessons.reconciler import POLL_SECONDS, WAITING

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "recovering"
LEARNERS = 6


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    """Yield a host with places for two lessons."""
    directory = tmp_path_factory.mktemp("small")
    async with deployment.host(
        directory, explicit(AGENT), lessons={"max_lessons": 2, "reconnect_timeout": 15}
    ) as host:
        yield host


async def test_more_learners_than_places_are_all_served_in_turn_and_none_twice(
    deployment: Deployment, small: HostProcess
) -> None:
    """Learners are notified when they have to wait, and when the wait is over."""
    async with AsyncExitStack() as stack:
        learners: list[SilentLearner] = []
        for _ in range(LEARNERS):
            room = new_room()
            small.script(room, tutor="probe-specialist", ends_at=5)
            visit = deployment.visit(room, agent_name=AGENT)
            learners.append(await stack.enter_async_context(visit))
        for learner in learners:
            await deployment.api.until("sessions", learner.user_id)
        assert small.log.find("learner.notified", waiting=True)
        for learner in learners:
            assert len(small.log.find("lesson.opened", user_id=learner.user_id)) == 1
            async with asyncio.timeout(PATIENCE):
                while WAITING in learner.room.local_participant.attributes:  # noqa: ASYNC110  # as an onlooker would
                    await asyncio.sleep(0.1)


async def test_a_learner_who_returns_within_the_grace_goes_on(
    deployment: Deployment, small: HostProcess
) -> None:
    """Same lesson, same job, one record; under another identity too."""
    room = new_room()
    await deployment.open_room(room, AGENT)
    async with deployment.visit(room, agent_name=AGENT) as first:
        await small.log.until("progress.made", user_id=first.user_id)
        await first.leave()
        await small.log.until("lesson.learner_away", room=room)
        attributes = {"user_id": first.user_id, "sessionId": first.session_id}
        other = deployment.token(room, attributes)
        async with deployment.enter(other, first.user_id, first.session_id) as again:
            await small.log.until("lesson.learner_returned", room=room)
            await again.met()
    await deployment.api.until("sessions", first.user_id)
    assert len(small.log.find("lesson.opened", user_id=first.user_id)) == 1
    assert len(await deployment.api.arrivals("sessions", first.user_id)) == 1


async def test_an_ended_lesson_is_not_called_again_until_its_learner_enters_again(
    deployment: Deployment, small: HostProcess
) -> None:
    """LiveKit would send nobody into a room that is still open."""
    room = new_room()
    small.script(room, tutor="probe-specialist", ends_at=2)
    async with deployment.visit(room, agent_name=AGENT) as learner:
        await deployment.api.until("sessions", learner.user_id)
        await asyncio.sleep(3 * POLL_SECONDS)  # nothing is what has to happen
        assert len(small.log.find("lesson.opened", room=room)) == 1
    async with deployment.visit(room, user_id=learner.user_id):
        await small.log.until("lesson.opened", room=room, count=2)


async def test_a_refused_learner_is_not_called_again_until_entering_again(
    deployment: Deployment, small: HostProcess
) -> None:
    """Then the API is asked anew."""
    room = new_room()
    fewer = {"kind": "fewer_permissions", "permissions": ["user.progress", "user.context"]}
    async with (
        deployment.api.misbehaving(fewer),
        deployment.visit(room, agent_name=AGENT) as learner,
    ):
        await small.log.until("lesson.refused", room=room)
        await learner.alone()
        await asyncio.sleep(3 * POLL_SECONDS)  # nothing is what has to happen
        assert len(small.log.find("lesson.refused", room=room)) == 1
    async with deployment.visit(room, user_id=learner.user_id):
        await small.log.until("lesson.opened", room=room)


async def test_the_next_learner_in_the_room_has_the_tutor_when_the_first_is_gone_for_good(
    deployment: Deployment, small: HostProcess
) -> None:
    """Each has a lesson and a record of their own."""
    room = new_room()
    async with deployment.visit(room, agent_name=AGENT) as first:
        await small.log.until("lesson.opened", user_id=first.user_id)
        async with deployment.visit(room) as second:
            await first.leave()
            await deployment.api.until("sessions", first.user_id)
            await small.log.until("lesson.opened", user_id=second.user_id)
        await deployment.api.until("sessions", second.user_id)
    assert len(small.log.find("lesson.opened", room=room)) == 2


async def test_a_learner_whose_user_id_changes_loses_the_lesson(
    deployment: Deployment, small: HostProcess
) -> None:
    """A participant who can set attributes gets neither the old lesson nor a new one."""
    room = new_room()
    async with deployment.visit(room, agent_name=AGENT) as learner:
        await small.log.until("progress.made", user_id=learner.user_id)
        async with deployment.rooms() as rooms:
            await rooms.room.update_participant(
                UpdateParticipantRequest(
                    room=room,
                    identity=learner.room.local_participant.identity,
                    attributes={"user_id": "somebody-else"},
                )
            )
        await small.log.until("security.user_id_changed", user_id=learner.user_id)
        await small.log.until("lesson.recorded", reason="user_id_changed")
        await learner.alone()
        await asyncio.sleep(2 * POLL_SECONDS)  # nothing is what has to happen
        assert len(small.log.find("lesson.opened", room=room)) == 1

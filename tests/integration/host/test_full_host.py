"""A full host in real rooms: learners are notified that they wait, and served in turn."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import pytest
import pytest_asyncio
from livekit import rtc
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)

from loqua_host.lessons.reconciler import WAITING

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "crowded"
PLACES, LEARNERS, STAY = 2, 6, 3.0
RECONNECT_TIMEOUT = 40.0


@dataclass
class Stay:
    """A learner's observations, in unix seconds."""

    user_id: str = ""
    shown: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    began: float = 0.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowded(
    deployment: Deployment,
    host: HostProcess,  # noqa: ARG001  # has other tutors, and sees the same rooms
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[HostProcess]:
    """Yield a host with two places that waits long for who left."""
    lessons = {"max_lessons": PLACES, "reconnect_timeout": RECONNECT_TIMEOUT}
    directory = tmp_path_factory.mktemp("crowded")
    async with deployment.host(directory, explicit(AGENT), lessons=lessons) as crowded:
        yield crowded


async def test_a_full_host_moves_on_when_learners_leave(
    deployment: Deployment, crowded: HostProcess
) -> None:
    """A free slot goes to the next learner; all see their place, and each has one record."""
    stays = await asyncio.gather(*(_stay(deployment, crowded) for _ in range(LEARNERS)))
    began = sorted(stay.began for stay in stays)
    assert len(crowded.log.find("lesson.stepped_out")) == LEARNERS - PLACES
    waited = [stay for stay in stays if stay.began > began[PLACES - 1]]
    assert len(waited) == LEARNERS - PLACES
    for stay in waited:
        notices = crowded.log.find("learner.notified", user_id=stay.user_id)
        aloud = crowded.log.find("learner.notified_aloud", user_id=stay.user_id)
        assert [line["waiting"] for line in notices] == [True, False], (notices, aloud, stay)
        assert len(aloud) == len(stay.shown) == len(stay.heard) == 1, (notices, aloud, stay)
    for stay in stays:
        await deployment.api.until("sessions", stay.user_id, patience=PATIENCE + RECONNECT_TIMEOUT)
    await asyncio.sleep(2)  # a second record would come now
    for stay in stays:
        assert len(await deployment.api.arrivals("sessions", stay.user_id)) == 1
        assert len(crowded.log.find("lesson.opened", user_id=stay.user_id)) == 1
    assert not crowded.log.find("lesson.interrupted")


async def test_who_comes_back_to_a_full_host_is_next_in_line(
    deployment: Deployment, crowded: HostProcess
) -> None:
    """Their lesson goes on where it was, before those begin who came meanwhile."""
    async with deployment.visit(new_room(), agent_name=AGENT) as stays:
        await crowded.log.until("lesson.opened", user_id=stays.user_id)
        room = new_room()
        async with deployment.visit(room, agent_name=AGENT) as first:
            await crowded.log.until("progress.made", user_id=first.user_id)
        async with deployment.visit(new_room(), agent_name=AGENT) as second:
            await crowded.log.until("lesson.stepped_out", user_id=first.user_id)
            await crowded.log.until("lesson.opened", user_id=second.user_id)
            async with deployment.visit(new_room(), agent_name=AGENT) as third:
                await crowded.log.until("learner.notified", user_id=third.user_id)
                # With a token that names the tutor: LiveKit may have closed the room, and would
                # send the automatic tutor into a new one.
                async with deployment.enter(first.token, first.user_id, first.session_id) as again:
                    await crowded.log.until("learner.notified", user_id=first.user_id)
                    await second.leave()
                    await crowded.log.until("lesson.resumed", user_id=first.user_id)
                    await again.met()
                    assert not crowded.log.find("lesson.opened", user_id=third.user_id)
                    ticks = crowded.log.find("probe.tick", room=room)
                    await crowded.log.until("probe.tick", room=room, count=len(ticks) + 2)
                await crowded.log.until("lesson.opened", user_id=third.user_id)
    numbers = [line["number"] for line in crowded.log.find("probe.tick", room=room)]
    assert numbers == [*range(1, len(numbers) + 1)]
    await deployment.api.until("sessions", first.user_id, patience=PATIENCE + RECONNECT_TIMEOUT)
    await asyncio.sleep(1)
    assert len(await deployment.api.arrivals("sessions", first.user_id)) == 1


async def test_a_machine_that_is_measured_serves_all_who_come(
    deployment: Deployment, tmp_path: Path
) -> None:
    """However busy it is with something else: at the worst one after the other, and notified."""
    tutors = explicit("measured")
    async with deployment.host(tmp_path, tutors, lessons={"max_lessons": "auto"}) as host:
        stays = await asyncio.gather(
            *(_stay(deployment, host, "measured") for _ in range(LEARNERS))
        )
        for stay in stays:
            await deployment.api.until("sessions", stay.user_id)
            assert len(host.log.find("lesson.opened", user_id=stay.user_id)) == 1
        assert not host.log.find("lesson.interrupted")


async def _stay(deployment: Deployment, host: HostProcess, agent_name: str = AGENT) -> Stay:
    """Enter, wait until a lesson begins, stay for a while, and leave."""
    stay = Stay()
    async with deployment.visit(new_room(), agent_name=agent_name) as visitor:
        _watch(visitor, stay)
        stay.user_id = visitor.user_id
        async with asyncio.timeout(4 * PATIENCE):
            while not host.log.find("lesson.opened", user_id=stay.user_id):  # noqa: ASYNC110  # as an onlooker would
                await asyncio.sleep(0.05)
        stay.began = time()
        await asyncio.sleep(STAY)
    return stay


def _watch(visitor: SilentLearner, stay: Stay) -> None:
    """Note when the learner is shown that they wait, and first gets the sound of it."""

    def on_attributes(changed: dict[str, str], who: rtc.Participant) -> None:
        if who is visitor.room.local_participant and changed.get(WAITING) == "true":
            stay.shown.append(time())

    def on_track(_track: rtc.Track, _what: object, who: rtc.RemoteParticipant) -> None:
        if who.identity.startswith("announcement-"):
            stay.heard.append(time())

    visitor.room.on("participant_attributes_changed", on_attributes)
    visitor.room.on("track_subscribed", on_track)
    # What came while the learner entered is no news any more.
    on_attributes(dict(visitor.room.local_participant.attributes), visitor.room.local_participant)
    for who in visitor.room.remote_participants.values():
        for heard in who.track_publications.values():
            if heard.track is not None:
                on_track(heard.track, heard, who)

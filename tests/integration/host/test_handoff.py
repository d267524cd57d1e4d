"""A handoff to a specialist in a real room: presence, the floor, and the conversation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import rtc
from tests.integration.host.conftest import (
    Deployment,
    HostProcess,
    SilentLearner,
    at,
    dev_api_for,
    explicit,
    new_room,
)

from loqua_host.dev.livekit import run_livekit

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPECIALIST = "probe-specialist"


def floors(tutors: list[rtc.RemoteParticipant]) -> dict[str, str | None]:
    """Return who has the floor, by tutor, from the attributes, which may follow the tutor."""
    attributes = (one.attributes for one in tutors)
    return {it.get("loqua.tutor", "unknown"): it.get("loqua.floor") for it in attributes}


async def shown(learner: SilentLearner, **expected: str) -> None:
    """Wait until the attributes show this floor."""
    wanted = {name.replace("_", "-"): floor for name, floor in expected.items()}
    await learner.until(lambda tutors: floors(tutors) == wanted)


async def test_a_called_specialist_teaches_and_hands_back(
    deployment: Deployment, host: HostProcess
) -> None:
    """It knows what for; its caller has the floor before and after, and hears how it went."""
    room, made = new_room(), [{"words_learned": 30}]
    host.script(room, calls=SPECIALIST)
    host.script(room, tutor=SPECIALIST, progress=made)
    async with deployment.visit(room) as learner:
        handover = await host.log.until("probe.handed_over", room=room)
        assert (handover["tutor"], handover["focus"], handover["words"]) == (
            "probe",
            "r",
            ["perro"],
        )
        await shown(learner, probe="false", probe_specialist="true")
        await host.log.until("progress.made", user_id=learner.user_id, words=30)
        host.script(room, tutor=SPECIALIST, progress=made, ends_at=1)
        back = await host.log.until("probe.handed_back", room=room)
        assert (back["outcome"], back["words"]) == ("taught", 30)
        await shown(learner, probe="true")
        visit = learner.session_id
    for event in ("handoff.requested", "handoff.joined", "handoff.finished"):
        await host.log.until(event, tutor=SPECIALIST, room=room)
    await deployment.api.until("sessions", learner.user_id, count=2)
    records = await deployment.api.arrivals("sessions", learner.user_id)
    assert [it["payload"]["sessionId"] for it in records] == [f"{visit}.{SPECIALIST}", visit]
    exchanges = await deployment.api.arrivals("exchanges", learner.user_id)
    assert len(exchanges) >= 1


async def test_a_specialist_that_has_taught_does_not_come_again_with_the_learner(
    deployment: Deployment, host: HostProcess
) -> None:
    """LiveKit keeps its dispatch with the room; nobody has asked for it a second time."""
    room = new_room()
    host.script(room, calls=SPECIALIST)
    host.script(room, tutor=SPECIALIST, ends_at=1)
    async with deployment.visit(room) as learner:
        await host.log.until("probe.handed_back", room=room, outcome="taught")
    host.script(room)
    await host.log.until("lesson.finished", user_id=learner.user_id, count=2)
    async with deployment.visit(room, user_id=learner.user_id):
        await host.log.until("lesson.opened", room=room, tutor="probe", count=2)
        await host.log.until("probe.tick", room=room, number=8)
    assert len(host.log.find("job.accepted", room=room, tutor=SPECIALIST)) == 1


async def test_a_specialist_who_crashes_keeps_the_floor_until_it_is_given_up(
    deployment: Deployment, host: HostProcess
) -> None:
    """Its caller does not talk into the restarts, and hears at last that it failed."""
    room = new_room()
    host.script(room, calls=SPECIALIST)
    host.script(room, tutor=SPECIALIST, killed_at=2, killed_again=True)
    async with deployment.visit(room) as learner:
        await host.log.until("lesson.restoring", room=room, tutor=SPECIALIST)
        back = await host.log.until("probe.handed_back", room=room)
        assert (back["outcome"], back.get("words")) == ("failed", None)
        restarts = host.log.find("probe.handed_over", room=room)
        assert len(restarts) == 4
        # The first time: LiveKit may show the last one to its caller when it is gone already.
        taken_back = await host.log.until("lesson.floor_taken_back", room=room)
        assert at(taken_back) > at(restarts[-1])
        await shown(learner, probe="true")


async def test_a_caller_who_crashes_meanwhile_comes_back_and_stays_aside(
    deployment: Deployment, host: HostProcess
) -> None:
    """It greets when the specialist has left, and calls nobody again."""
    room = new_room()
    host.script(room, calls=SPECIALIST)
    async with deployment.visit(room) as learner:
        await host.log.until("probe.handed_over", room=room)
        host.script(room, calls=SPECIALIST, killed_at=1)
        await host.log.until("lesson.resumed", room=room, tutor="probe")
        await shown(learner, probe="false", probe_specialist="true")
        host.script(room, tutor=SPECIALIST, ends_at=1)
        await host.log.until("lesson.floor_taken_back", room=room)
        await host.log.until("probe.ready", room=room, count=3)
        await shown(learner, probe="true")
    assert len(host.log.find("lesson.opened", room=room, tutor=SPECIALIST)) == 1


async def test_a_specialist_that_nobody_hosts_is_a_clear_error(
    deployment: Deployment, host: HostProcess
) -> None:
    """With the names that there are; what was asked for may be a learner's words."""
    room = new_room()
    host.script(room, calls="spelling-specialist")
    async with deployment.visit(room):
        line = await host.log.until("probe.not_handed_over", room=room)
    assert SPECIALIST in line["why"]
    assert "spelling-specialist" not in line["why"]


@asynccontextmanager
async def own_deployment(deployment: Deployment) -> AsyncIterator[Deployment]:
    """Yield a deployment whose rooms the shared host does not serve."""
    async with run_livekit() as livekit, dev_api_for(livekit) as api:
        yield replace(deployment, livekit=livekit, api=api)


async def test_a_specialist_whose_places_are_taken_is_absent_after_ten_seconds(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Its caller goes on, and it does not come later when there is a place."""
    tutors = {"probe": {"worker_type": "automatic", "max_concurrent_jobs": 5}}
    tutors |= explicit(SPECIALIST)
    tutors[SPECIALIST]["max_concurrent_jobs"] = 1
    room = new_room()
    async with own_deployment(deployment) as own, own.host(tmp_path, tutors) as host:
        host.script(room, calls=SPECIALIST)
        async with own.visit(agent_name=SPECIALIST) as first:
            await host.log.until("lesson.opened", room=first.name)
            async with own.visit(room) as learner:
                back = await host.log.until("probe.handed_back", room=room)
                await first.leave()
                await host.log.until("lesson.finished", user_id=first.user_id)
                assert back["outcome"] == "absent"
                assert not host.log.find("lesson.floor_given_away", room=room)
                await shown(learner, probe="true")
        assert not host.log.find("job.accepted", room=room, tutor=SPECIALIST)

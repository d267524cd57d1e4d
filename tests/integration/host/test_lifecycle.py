"""A lesson in a real room, from the learner's entry to the record, as in the guide."""

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from livekit.agents.types import TOPIC_CHAT
from tests.integration.host.conftest import (
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)
from tests.integration.host.livekit_proxy import open_livekit_proxy

pytestmark = pytest.mark.asyncio(loop_scope="session")

REPORT = {
    "progress": {
        "words_learned": 40,
        "phrases_practiced": 50,
        "pronunciation_score": 85.5,
        "grammar_points": ["present_tense", "articles"],
    },
    "topics_covered": ["greetings", "ordering food"],
    "new_vocabulary": [{"word": "hola", "translation": "hello", "language": "es"}],
    "grammar_points": ["present_tense"],
    "pronunciation_practice_count": 15,
    "performance": "excellent",
    "achievements": ["first_conversation"],
    "recommendations": ["Focus on past tense verbs"],
}


async def test_a_learner_who_enters_is_met_by_the_automatic_tutor(
    deployment: Deployment, host: HostProcess
) -> None:
    """The test dispatches no tutor."""
    async with deployment.visit() as learner:
        await learner.met()
        line = await host.log.until("lesson.opened", room=learner.name)
    assert (line["tutor"], line["mode"]) == ("probe", "full")


async def test_the_tutor_waits_for_the_learner_before_it_reads_attributes(
    deployment: Deployment, host: HostProcess
) -> None:
    """It is in the room first, asks nobody about anybody, and teaches whoever comes then."""
    room = new_room()
    await deployment.open_room(room)
    watcher = deployment.token(room, {}, hidden=True)
    async with deployment.enter(watcher, "watcher", "") as watching:
        await watching.met()
        assert not host.log.find("learner.found", room=room)
        async with deployment.visit(room) as learner:
            line = await host.log.until("lesson.opened", room=room)
            assert line["user_id"] == learner.user_id
    assert not host.log.find("lesson.refused", room=room)


async def test_the_token_is_exchanged_and_the_context_loaded_while_the_job_connects(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The learner is found before the tutor is in the room; then all is asked for once."""
    async with (
        open_livekit_proxy(deployment.livekit.url) as proxy,
        deployment.host(tmp_path, explicit("ahead"), environ={"LIVEKIT_URL": proxy.url}) as host,
        AsyncExitStack() as visits,
    ):
        with proxy.hold("/rtc"):
            learner = await visits.enter_async_context(deployment.visit(agent_name="ahead"))
            await host.log.until("learner.found", room=learner.name)
            await deployment.api.until("contexts", learner.user_id)
            assert learner.tutors == []
        await host.log.until("lesson.opened", room=learner.name)
    [exchange] = await deployment.api.arrivals("exchanges", learner.user_id)
    assert exchange["payload"] == {
        "room_name": learner.name,
        "user_id": learner.user_id,
        "agent_id": "loqua-test",
    }
    assert len(await deployment.api.arrivals("contexts", learner.user_id)) == 1


async def test_health_is_checked_at_lesson_start_and_from_then_on(
    deployment: Deployment, host: HostProcess
) -> None:
    """The lesson does not open before the API said who may do what."""
    async with deployment.visit() as learner:
        await host.log.until("lesson.opened", room=learner.name)
        first, *_ = await deployment.api.arrivals("health", learner.user_id)
        assert first["payload"] == {"userId": learner.user_id}
        await deployment.api.until("health", learner.user_id, count=2)


async def test_a_missing_permission_is_a_named_error(
    deployment: Deployment, host: HostProcess
) -> None:
    """A token that may not create sessions gives no lesson whose record would be lost."""
    fewer = {"kind": "fewer_permissions", "permissions": ["user.progress", "user.context"]}
    async with deployment.api.misbehaving(fewer), deployment.visit() as learner:
        line = await host.log.until("lesson.refused", room=learner.name)
        await learner.alone()
    assert "session.create" in line["why"]
    assert not host.log.find("lesson.opened", room=learner.name)


async def test_progress_goes_out_at_every_tick(deployment: Deployment, host: HostProcess) -> None:
    """It counts from the beginning of the lesson and has the visit's id."""
    async with deployment.visit() as learner:
        await host.log.until("progress.made", user_id=learner.user_id, count=4)
        await deployment.api.until("progress", learner.user_id, count=3)
    made = host.log.find("progress.made", user_id=learner.user_id)
    assert [line["words"] for line in made] == [*range(1, len(made) + 1)]
    sent = [it["payload"] for it in await deployment.api.arrivals("progress", learner.user_id)]
    ticks = [it for it in sent if it["data"]["status"] == "in_progress"]
    counts = [it["data"]["progress"]["words_learned"] for it in ticks]
    assert counts == sorted(set(counts))
    assert len(counts) >= 3
    assert {it["sessionId"] for it in ticks} == {learner.session_id}


async def test_final_progress_and_record_arrive_once_when_the_learner_leaves(
    deployment: Deployment, host: HostProcess
) -> None:
    """They say what the tutor reported, number by number."""
    room = new_room()
    host.script(room, report=REPORT)
    async with deployment.visit(room) as learner:
        await host.log.until("probe.tick", room=room, number=2)
    await deployment.api.until("sessions", learner.user_id)
    await host.log.until("lesson.finished", user_id=learner.user_id)
    [record] = await deployment.api.arrivals("sessions", learner.user_id)
    minutes = record["payload"].pop("duration_minutes")
    assert 0 < minutes < 1
    assert record["payload"] == {
        "userId": learner.user_id,
        "sessionId": learner.session_id,
        "topics_covered": ["greetings", "ordering food"],
        "new_vocabulary": [{"word": "hola", "translation": "hello", "language": "es"}],
        "grammar_points": ["present_tense"],
        "pronunciation_practice_count": 15,
        "overall_performance": "excellent",
        "achievements": ["first_conversation"],
        "next_session_recommendations": ["Focus on past tense verbs"],
    }
    progress = await deployment.api.arrivals("progress", learner.user_id)
    ended = [
        it["payload"]["data"] for it in progress if it["payload"]["data"]["status"] != "in_progress"
    ]
    assert ended == [{"status": "completed", "progress": REPORT["progress"]}]


async def test_what_a_learner_types_reaches_a_tutor_without_a_language_model(
    deployment: Deployment, host: HostProcess
) -> None:
    """It arrives like recognised speech, and is marked as typed."""
    async with deployment.visit() as learner:
        await host.log.until("probe.ready", room=learner.name)
        await learner.room.local_participant.send_text("¿Qué tal?", topic=TOPIC_CHAT)
        line = await host.log.until("probe.heard", room=learner.name)
    assert (line["text"], line["typed"]) == ("¿Qué tal?", True)


async def test_a_tutor_ends_its_lesson_and_leaves_the_room(
    deployment: Deployment, host: HostProcess
) -> None:
    """The learner may stay; the record does not wait for that."""
    room = new_room()
    host.script(room, ends_at=2)
    async with deployment.visit(room) as learner:
        await deployment.api.until("sessions", learner.user_id)
        await learner.alone()
    await host.log.until("probe.end", room=room, reason="probe_done")


async def test_a_token_that_names_a_specialist_brings_that_one_alone(
    deployment: Deployment, host: HostProcess
) -> None:
    """Explicit dispatch by token: the automatic tutor is not asked."""
    async with deployment.visit(agent_name="probe-specialist") as learner:
        line = await host.log.until("lesson.opened", room=learner.name)
        assert line["tutor"] == "probe-specialist"
        await learner.met(1)
    await deployment.api.until("sessions", learner.user_id)
    assert len(host.log.find("job.accepted", room=learner.name)) == 1


async def test_the_automatic_tutor_steps_aside_until_a_called_specialist_has_left(
    deployment: Deployment, host: HostProcess
) -> None:
    """Explicit dispatch into a served room: one speaks at a time, and both have a record."""
    room = new_room()
    async with deployment.visit(room) as learner:
        await host.log.until("probe.ready", room=room)
        await deployment.dispatch("probe-specialist", room)
        await host.log.until("lesson.floor_given_away", room=room)
        await learner.met(2)
        host.script(room, tutor="probe-specialist", ends_at=1)
        await deployment.api.until("sessions", learner.user_id)
        await host.log.until("lesson.floor_taken_back", room=room)
        await learner.met(1)
    await deployment.api.until("sessions", learner.user_id, count=2)
    records = await deployment.api.arrivals("sessions", learner.user_id)
    assert [it["payload"]["sessionId"] for it in records] == [
        f"{learner.session_id}.probe-specialist",
        learner.session_id,
    ]


async def test_a_killed_tutor_comes_back_and_goes_on_where_it_was(
    deployment: Deployment, host: HostProcess
) -> None:
    """SIGKILL of the job between two ticks: one lesson, one record, nothing counted twice."""
    room = new_room()
    host.script(room, killed_at=4)
    async with deployment.visit(room) as learner:
        await host.log.until("lesson.interrupted", user_id=learner.user_id)
        await host.log.until("lesson.resumed", room=room)
        await host.log.until("progress.made", user_id=learner.user_id, words=5)
    await deployment.api.until("sessions", learner.user_id)
    made = [it["words"] for it in host.log.find("progress.made", user_id=learner.user_id)]
    assert made == [*range(1, len(made) + 1)]
    [record] = await deployment.api.arrivals("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id


async def test_a_tutor_that_crashes_again_and_again_leaves_the_record_of_its_last_progress(
    deployment: Deployment, host: HostProcess
) -> None:
    """The host gives the lesson up and records the progress that it has received."""
    room = new_room()
    host.script(room, killed_at=3, killed_again=True)
    async with deployment.visit(room) as learner:
        await host.log.until("lesson.given_up", user_id=learner.user_id, why="crash_loop")
        await deployment.api.until("sessions", learner.user_id)
    [record] = await deployment.api.arrivals("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id
    last = (await deployment.api.arrivals("progress", learner.user_id))[-1]["payload"]["data"]
    assert (last["status"], last["progress"]["words_learned"]) == ("failed", 2)


async def test_two_learners_in_two_rooms_have_two_lessons(
    deployment: Deployment, host: HostProcess
) -> None:
    """Each with a process of its own."""
    async with deployment.visit() as one, deployment.visit() as other:
        lines = [await host.log.until("probe.ready", room=it.name) for it in (one, other)]
    assert len({line["pid"] for line in lines}) == 2
    for learner in (one, other):
        await deployment.api.until("sessions", learner.user_id)


@pytest.mark.parametrize("how", ["raise", "hang", "nonsense", "block"])
async def test_a_tutor_whose_hooks_fail_costs_no_record(
    deployment: Deployment, host: HostProcess, how: str
) -> None:
    """Each hook as its contract says: an end with a named reason, or a lesson that goes on."""
    async with asyncio.TaskGroup() as lessons:
        lessons.create_task(_ends_at_once(deployment, host, "create_agent", how))
        if how != "nonsense":  # what it returns does not matter
            lessons.create_task(_ends_at_once(deployment, host, "on_user_ready", how))
        lessons.create_task(_goes_on_without_ticks(deployment, host, how))
        lessons.create_task(_has_the_last_progress(deployment, host, how))


async def test_a_tutor_whose_agent_fails_at_each_turn_says_goodbye(
    deployment: Deployment, host: HostProcess
) -> None:
    """The log shows the author's lines alone; the lesson counts as failed."""
    room = new_room()
    host.script(room, on_user_turn_completed="raise")
    async with deployment.visit(room) as learner:
        await host.log.until("probe.ready", room=room)
        for turn in range(1, 4):
            await learner.room.local_participant.send_text("¿Qué tal?", topic=TOPIC_CHAT)
            failed = await host.log.until("agent.failed", room=room, count=turn)
        await host.log.until("probe.end", room=room, reason="agent_failed")
    assert failed["callback"] == "SpecialistCaller.on_user_turn_completed"
    assert "in _misbehave" in failed["exception"]
    assert "agent_activity.py" not in failed["exception"]
    await deployment.api.until("sessions", learner.user_id)
    [last] = (await deployment.api.arrivals("progress", learner.user_id))[-1:]
    assert last["payload"]["data"]["status"] == "failed"


async def _ends_at_once(deployment: Deployment, host: HostProcess, hook: str, how: str) -> None:
    async with _scripted(deployment, host, hook, how) as learner:
        await host.log.until("hook.failed", room=learner.name, hook=hook)
        await host.log.until("probe.end", room=learner.name, reason=f"{hook}_failed")
        await learner.alone()
    await deployment.api.until("sessions", learner.user_id)


async def _goes_on_without_ticks(deployment: Deployment, host: HostProcess, how: str) -> None:
    async with _scripted(deployment, host, "on_progress_tick", how) as learner:
        await host.log.until("lesson.ticks_stopped", room=learner.name)
        assert len(host.log.find("hook.failed", room=learner.name)) == 3
        assert len(learner.tutors) == 1
    await host.log.until("probe.end", room=learner.name)
    await deployment.api.until("sessions", learner.user_id)


async def _has_the_last_progress(deployment: Deployment, host: HostProcess, how: str) -> None:
    async with _scripted(deployment, host, "on_session_end", how) as learner:
        made = await host.log.until("progress.made", user_id=learner.user_id, count=2)
    await deployment.api.until("sessions", learner.user_id)
    last = (await deployment.api.arrivals("progress", learner.user_id))[-1]["payload"]["data"]
    assert last["status"] == "completed"
    assert last["progress"]["words_learned"] >= made["words"]


def _scripted(
    deployment: Deployment, host: HostProcess, hook: str, how: str
) -> AbstractAsyncContextManager[SilentLearner]:
    room = new_room()
    host.script(room, **{hook: how})
    return deployment.visit(room)

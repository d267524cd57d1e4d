"""Lessons ended by limits: a tutor that hangs, a silent learner, a stop."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.host.conftest import Deployment, HostProcess, explicit, new_room

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "limited"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    """Yield a host whose lessons end after a few seconds of silence."""
    directory = tmp_path_factory.mktemp("limited")
    async with deployment.host(
        directory, explicit(AGENT), lessons={"silence_prompt_after": 4, "silence_timeout": 3}
    ) as host:
        yield host


async def test_a_silent_learner_is_left_with_a_record(
    deployment: Deployment, limited: HostProcess
) -> None:
    """The tutor gets an event first; it is not called again."""
    async with deployment.visit(agent_name=AGENT) as learner:
        await limited.log.until("lesson.learner_silent", user_id=learner.user_id)
        await limited.log.until("lesson.recorded", user_id=learner.user_id, reason="learner_silent")
        await deployment.api.until("sessions", learner.user_id)
        await learner.alone()


async def test_a_tutor_that_blocks_its_thread_is_killed_and_comes_back(
    deployment: Deployment, limited: HostProcess
) -> None:
    """No signal reaches it. The log names hook and line, and the lesson continues."""
    room = new_room()
    limited.script(room, tutor="probe-specialist", blocked_at=3)
    async with deployment.visit(room, agent_name=AGENT) as learner:
        hung = await limited.log.until("job.hung", room=room)
        assert hung["hook"].endswith("on_progress_tick")
        assert "time.sleep(BLOCKED_SECONDS)" in hung["exception"]
        await limited.log.until("job.hung", tutor="probe-specialist")
        resumed = await limited.log.until("lesson.resumed", user_id=learner.user_id)
        await limited.log.until("probe.tick", room=room, number=3, count=2)
    record = await deployment.api.until("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id == resumed["session_id"]
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1


async def test_a_job_that_waits_for_its_learner_does_not_hold_up_the_stop(
    deployment: Deployment, tmp_path: Path
) -> None:
    """It would wait for thirty seconds; nothing is opened for anybody."""
    room = new_room()
    async with deployment.host(tmp_path, explicit("waiting")) as host:
        await deployment.open_room(room, "waiting")
        await host.log.until("job.accepted", room=room)
        host.process.send_signal(signal.SIGTERM)
        draining = await host.log.until("host.draining")
        assert await host.ended() == 0
        assert draining
        assert not host.log.find("worker.drain_cut_off")
        assert not host.log.find("lesson.opened")
    await deployment.close_room(room)


async def test_an_agent_that_does_not_let_go_keeps_nobody_waiting(
    deployment: Deployment, host: HostProcess
) -> None:
    """Neither the record nor a silent tutor's learner waits for it (livekit/agents#5497)."""
    room = new_room()
    host.script(room, tutor="probe-specialist", clings=True, ends_at=2)
    async with deployment.visit(room, agent_name="probe-specialist") as learner:
        await host.log.until("lesson.voice_not_closed", room=room)
        await host.log.until("lesson.recorded", user_id=learner.user_id)
        await learner.alone()
    await deployment.api.until("sessions", learner.user_id)

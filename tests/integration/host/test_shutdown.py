"""How a host ends: drained, with nothing left behind; or killed, with nothing lost."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.integration.host.conftest import PATIENCE, HostProcess, House, Visitor, explicit

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

GHOST_SECONDS = 15.0
"""Long for a job, which needs half a second, and less than LiveKit takes to drop the dead."""


async def all_gone(host: HostProcess) -> None:
    """Wait until no process of a host's session is left: it leads one of its own."""
    family = [it for it in psutil.process_iter() if _session(it.pid) == host.pid]
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=PATIENCE)
    assert alive == []


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


async def test_sigterm_drains_lessons_and_leaves_nothing_behind(
    house: House, tmp_path: Path
) -> None:
    """The record is delivered, the exit code 0; no process and no socket stays."""
    async with (
        house.host(tmp_path, explicit("drained")) as host,
        house.visit(agent_name="drained") as learner,
    ):
        await host.log.until("progress.made", user_id=learner.user_id)
        host.process.send_signal(signal.SIGTERM)
        record = await house.api.until("sessions", learner.user_id)
        assert await host.ended() == 0
        await learner.alone()
    assert record["payload"]["sessionId"] == learner.session_id
    assert host.log.find("probe.end", reason="host_stopping")
    assert len(await house.api.arrivals("sessions", learner.user_id)) == 1
    await all_gone(host)


async def test_a_second_signal_ends_lessons_at_once(house: House, tmp_path: Path) -> None:
    """Nobody waits for a tutor's last hook; the record says how far the lesson came."""
    patient = {"limits": {"on_session_end": 60}, "drain": 600}
    async with (
        house.host(tmp_path, explicit("hurried"), lessons=patient) as host,
        house.visit(agent_name="hurried") as learner,
    ):
        host.script(learner.name, tutor="probe-specialist", on_session_end="hang")
        await host.log.until("progress.made", user_id=learner.user_id)
        host.process.send_signal(signal.SIGTERM)
        await host.log.until("probe.end", room=learner.name)
        host.process.send_signal(signal.SIGTERM)
        await learner.alone()
        assert await host.ended() == 0
    assert host.log.find("lesson.given_up", user_id=learner.user_id, why="host_stopping")
    await all_gone(host)


async def test_a_killed_host_loses_no_lesson(house: House, tmp_path: Path) -> None:
    """SIGKILL: no ghost stays with a learner; the next start goes on and delivers, once."""
    async with house.visit(agent_name="killed") as stays:
        owed = await _until_killed(house, tmp_path, stays)
        assert await house.api.arrivals("sessions", owed.user_id) == []
        async with house.host(tmp_path, explicit("killed")) as host:
            await host.log.until("lesson.found_open", user_id=stays.user_id)
            await host.log.until("lesson.resumed", user_id=stays.user_id)
            await house.api.until("sessions", owed.user_id)
            await stays.leave()
            await house.api.until("sessions", stays.user_id)
        for learner in (owed, stays):
            [record] = await house.api.arrivals("sessions", learner.user_id)
            assert record["payload"]["sessionId"] == learner.session_id


async def _until_killed(house: House, directory: Path, stays: Visitor) -> Visitor:
    """Have a host killed while it teaches one learner and owes the record of another."""
    async with house.host(directory, explicit("killed")) as host:
        async with house.api.misbehaving({"kind": "outage", "endpoint": "sessions"}):
            async with house.visit(agent_name="killed") as owed:
                await host.log.until("progress.made", user_id=owed.user_id)
            await host.log.until("record.postponed", user_id=owed.user_id)
            await host.log.until("progress.made", user_id=stays.user_id)
            host.process.kill()
            assert await host.ended() == -signal.SIGKILL
            async with asyncio.timeout(GHOST_SECONDS):
                await stays.alone()
        await all_gone(host)
    return owed

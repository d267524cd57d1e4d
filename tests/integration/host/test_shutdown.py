"""The end of a host: drained without remains, or killed without losses."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from livekit.rtc import DisconnectReason
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


def stop_the_host(host: HostProcess) -> None:
    """Send SIGTERM to the host's process alone."""
    host.process.send_signal(signal.SIGTERM)


def stop_its_group(host: HostProcess) -> None:
    """Send SIGTERM to all its processes, as systemd does."""
    os.killpg(host.pid, signal.SIGTERM)


def interrupt_its_group(host: HostProcess) -> None:
    """Send SIGINT to all its processes, as a terminal does on Ctrl-C."""
    os.killpg(host.pid, signal.SIGINT)


@pytest.mark.parametrize("stop", [stop_the_host, stop_its_group, interrupt_its_group])
async def test_lessons_go_on_to_their_own_end_when_the_host_is_told_to_stop(
    deployment: Deployment, tmp_path: Path, stop: Callable[[HostProcess], None]
) -> None:
    """The record is delivered, the exit code 0; no process and no socket stays."""
    name = f"goes-on-{stop.__name__}".replace("_", "-")
    async with (
        deployment.host(tmp_path, explicit(name), lessons={"drain_timeout": 600}) as host,
        deployment.visit(agent_name=name) as learner,
    ):
        await host.log.until("progress.made", user_id=learner.user_id)
        stop(host)
        await host.log.until("worker.leaving")
        ticks = host.log.find("probe.tick", room=learner.name)
        await host.log.until("probe.tick", room=learner.name, count=len(ticks) + 5)
        assert len(learner.tutors) == 1
        await learner.leave()
        record = await deployment.api.until("sessions", learner.user_id)
        assert await host.ended() == 0
    assert record["payload"]["sessionId"] == learner.session_id
    assert host.log.find("probe.end", reason="learner_left")
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1
    assert not host.log.find("lesson.interrupted")
    await all_gone(host)


async def test_a_drained_host_lets_lessons_end_and_stays_until_it_is_stopped(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The command reports the end of the last lesson; no new lesson begins meanwhile."""
    token = "an-ops-token-of-32-bytes-or-more"
    async with (
        deployment.host(tmp_path, explicit("drained"), environ={"OPS_TOKEN": token}) as host,
        deployment.visit(agent_name="drained") as learner,
        host.asking(token) as client,
    ):
        await host.log.until("progress.made", user_id=learner.user_id)
        drained = asyncio.create_task(client.post("/drain"))
        await host.log.until("worker.leaving")
        assert (await client.get("/health/ready")).status_code == 503
        ticks = host.log.find("probe.tick", room=learner.name)
        await host.log.until("probe.tick", room=learner.name, count=len(ticks) + 5)
        assert not drained.done()
        await learner.leave()
        assert (await drained).text == "drained\n"
        assert (await client.get("/health/live")).status_code == 200
        stop_the_host(host)
        assert await host.ended() == 0
    assert host.log.find("probe.end", reason="learner_left")
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1
    assert not host.log.find("lesson.interrupted")


async def test_a_lesson_says_goodbye_before_the_drain_is_over_and_is_not_given_twice(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The tutor gets an event before; the next start has nothing to resume, and opens nothing."""
    tutors, lessons = explicit("goodbye"), {"drain_timeout": 20}
    async with deployment.visit(agent_name="goodbye") as learner:
        async with deployment.host(tmp_path, tutors, lessons=lessons) as host:
            await host.log.until("progress.made", user_id=learner.user_id)
            host.process.send_signal(signal.SIGTERM)
            await host.log.until("probe.time_running_out", room=learner.name)
            await host.log.until("probe.end", room=learner.name, reason="host_stopping")
            await deployment.api.until("sessions", learner.user_id)
            assert await host.ended() == 0
            await learner.alone()
        assert not host.log.find("worker.drain_cut_off")
        async with (
            deployment.host(tmp_path, tutors) as host,
            deployment.visit(agent_name="goodbye") as other,
        ):
            await host.log.until("lesson.opened", user_id=other.user_id)
            assert not host.log.find("lesson.opened", user_id=learner.user_id)
            assert not host.log.find("lesson.found_open")
    [record] = await deployment.api.arrivals("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id


async def test_a_second_signal_cuts_lessons_off_and_the_next_start_goes_on_with_them(
    deployment: Deployment, tmp_path: Path
) -> None:
    """At once; to learner and API it was one lesson, and no crash."""
    tutors = explicit("hurried")
    async with deployment.visit(agent_name="hurried") as learner:
        async with deployment.host(tmp_path, tutors, lessons={"drain_timeout": 600}) as host:
            await host.log.until("progress.made", user_id=learner.user_id)
            host.process.send_signal(signal.SIGTERM)
            await host.log.until("worker.leaving")
            host.process.send_signal(signal.SIGTERM)
            await learner.alone()
            assert await host.ended() == 0
        assert host.log.find("lesson.interrupted", user_id=learner.user_id, crashed=False)
        await all_gone(host)
        ticks = len(host.log.find("probe.tick", room=learner.name))
        async with deployment.host(tmp_path, tutors) as host:
            await host.log.until("lesson.resumed", user_id=learner.user_id)
            going_on = await host.log.until("probe.tick", room=learner.name)
            assert ticks <= going_on["number"] <= ticks + 1  # the last may not have been kept
            await learner.leave()
            await deployment.api.until("sessions", learner.user_id)
    [record] = await deployment.api.arrivals("sessions", learner.user_id)
    assert record["payload"]["sessionId"] == learner.session_id


async def test_a_killed_host_loses_no_lesson(deployment: Deployment, tmp_path: Path) -> None:
    """SIGKILL: no ghost stays with a learner; the next start goes on and delivers, once."""
    async with deployment.visit(agent_name="killed") as stays:
        undelivered = await _until_killed(deployment, tmp_path, stays)
        assert await deployment.api.arrivals("sessions", undelivered.user_id) == []
        async with deployment.host(tmp_path, explicit("killed")) as host:
            await host.log.until("lesson.found_open", user_id=stays.user_id)
            await host.log.until("lesson.resumed", user_id=stays.user_id)
            await deployment.api.until("sessions", undelivered.user_id)
            await stays.leave()
            await deployment.api.until("sessions", stays.user_id)
        for learner in (undelivered, stays):
            [record] = await deployment.api.arrivals("sessions", learner.user_id)
            assert record["payload"]["sessionId"] == learner.session_id


async def _until_killed(
    deployment: Deployment, directory: Path, stays: SilentLearner
) -> SilentLearner:
    """Kill a host while it teaches one learner and another learner's record is pending."""
    async with deployment.host(directory, explicit("killed")) as host:
        async with deployment.api.misbehaving({"kind": "outage", "endpoint": "sessions"}):
            async with deployment.visit(agent_name="killed") as undelivered:
                await host.log.until("progress.made", user_id=undelivered.user_id)
            await host.log.until("record.postponed", user_id=undelivered.user_id)
            await host.log.until("progress.made", user_id=stays.user_id)
            reasons = []
            stays.room.on(
                "participant_disconnected", lambda it: reasons.append(it.disconnect_reason)
            )
            host.process.kill()
            assert await host.ended() == -signal.SIGKILL
            await stays.alone()
            # The job has left; LiveKit would drop one that does not, but later.
            assert reasons == [DisconnectReason.CLIENT_INITIATED]
        await all_gone(host)
    return undelivered

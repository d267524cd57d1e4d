"""Job processes on a real host: what they may do to it, to one another, and without it."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.integration.host.conftest import HostProcess, House, explicit, new_room
from tests.integration.host.test_secrets import AS_ANY_USER

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def test_a_job_gets_nowhere_by_livekits_channels_nor_by_proc(
    house: House, tmp_path: Path
) -> None:
    """Its pickle does not run in the host, its flood ends no lesson, and its siblings are shut."""
    async with house.host(tmp_path, explicit("hostile"), wrapper=AS_ANY_USER) as host:
        assert await attack(house, host, "channels") == "4"
        await host.log.until("job.log_unreadable", count=4)
        opened, _, tried = (await attack(house, host, "siblings")).partition(" of ")
        assert int(tried) >= 4
        assert opened == "0"
    assert not (host.scripts / "ran").exists()


async def attack(house: House, host: HostProcess, kind: str) -> str:
    """Have a tutor attack; gives what it got, once its lesson's record has arrived."""
    room = new_room()
    host.script(room, tutor="probe-specialist", attack=kind, ends_at=2)
    async with house.visit(room, agent_name="hostile") as learner:
        told = await host.log.until("probe.attacked", room=room)
        await house.api.until("sessions", learner.user_id)
    return str(told["answers"])


async def test_a_host_whose_forkserver_dies_ends_to_be_started_again(
    house: House, tmp_path: Path
) -> None:
    """Its lesson ends as at any stop: the record arrives, and the tutor leaves the room."""
    async with (
        house.host(tmp_path, explicit("orphaned")) as host,
        house.visit(agent_name="orphaned") as learner,
    ):
        await host.log.until("progress.made", user_id=learner.user_id)
        os.kill(forkserver(host), signal.SIGKILL)
        await host.log.until("forkserver.died")
        await house.api.until("sessions", learner.user_id)
        await learner.alone()
        assert await host.ended() == 1
    assert len(await house.api.arrivals("sessions", learner.user_id)) == 1


def forkserver(host: HostProcess) -> int:
    """Find the process that a host's jobs are forked from."""
    [found] = (
        child.pid
        for child in psutil.Process(host.pid).children()
        if "forkserver" in " ".join(child.cmdline())
    )
    return found

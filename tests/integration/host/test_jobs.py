"""Job processes of a real host: their isolation from it and from each other."""

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.integration.host.conftest import Deployment, HostProcess, explicit, new_room
from tests.integration.host.test_secrets import AS_ANY_USER

pytestmark = pytest.mark.asyncio(loop_scope="session")


GOT = {
    "guessed": "403",
    "second": "409",
    "rejoin": "1",
    "host": "0 opened",
    "siblings": "0 opened",
    "channels": "4",
    "rooms": "unauthenticated",
    "webhook": "401",
}
"""What a hostile job tries, and what it gets.

guessed: connects to the host with a token of its own making that names its job; refused.
second: connects once more with the token that is its own; its job is connected already.
rejoin: says over its link that it teaches somebody else; sent, and refused by the host.
host, siblings: opens what /proc has of the host's and another job's memory; nothing opens.
channels: sends pickles as LiveKit's log records; sent, and not one is opened.
rooms: asks LiveKit for all rooms with the token of its own; that is for one room.
webhook: tells the host that somebody came, signed by LiveKit in its own token; not believed.

Another job's stolen token, floods and oversized messages: `test_link.py`. A search through
all that it can reach for secrets: `test_secrets.py`.
"""


async def test_a_hostile_job_gets_nowhere(deployment: Deployment, tmp_path: Path) -> None:
    """Its own lesson goes on meanwhile and has its record, beside an honest one."""
    lessons = {"limits": {"on_user_ready": 30}}
    [tutor] = explicit("hostile").values()
    granted = {"probe-specialist": {**tutor, "sandbox": {"network": "any"}}}  # for its webhook
    hosting = deployment.host(tmp_path, granted, wrapper=AS_ANY_USER, lessons=lessons)
    async with hosting as host, deployment.visit(agent_name="hostile") as honest:
        port = host.ops_port
        (host.scripts / "webhook").write_text(f"http://127.0.0.1:{port}/livekit/webhook")
        await host.log.until("progress.made", user_id=honest.user_id)
        room = new_room()
        host.script(room, tutor="probe-specialist", attack="all", ends_at=2)
        async with deployment.visit(room, agent_name="hostile") as learner:
            attacked = await host.log.until("probe.attacked", room=room)
            await deployment.api.until("sessions", learner.user_id)
        await host.log.until("job.log_unreadable", count=4)
        assert len(await deployment.api.arrivals("contexts", learner.user_id)) == 1
        assert not host.log.find("lesson.interrupted")
        assert not host.log.find("learner.prefetched")
        assert not (host.scripts / "ran").exists()
    assert json.loads(attacked["answers"]) == GOT


async def test_a_host_whose_forkserver_dies_ends_to_be_started_again(
    deployment: Deployment, tmp_path: Path
) -> None:
    """At once, also where lessons may take long to end: the next start goes on with its lesson."""
    tutors = explicit("orphaned")
    async with deployment.visit(agent_name="orphaned") as learner:
        async with deployment.host(tmp_path, tutors, lessons={"drain_timeout": 600}) as host:
            await host.log.until("progress.made", user_id=learner.user_id)
            os.kill(forkserver(host), signal.SIGKILL)
            await host.log.until("forkserver.died")
            await learner.alone()
            assert await host.ended() == 1
        async with deployment.host(tmp_path, tutors) as host:
            await host.log.until("lesson.resumed", user_id=learner.user_id)
            await learner.leave()
            await deployment.api.until("sessions", learner.user_id)
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1


def forkserver(host: HostProcess) -> int:
    """Find the process that a host's jobs are forked from."""
    [found] = (
        child.pid for child in psutil.Process(host.pid).children() if child.name() == "forkserver"
    )
    return found

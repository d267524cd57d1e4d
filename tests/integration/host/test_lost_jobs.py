"""Jobs that die or that LiveKit ends, in real rooms: their learners get a tutor again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from livekit.api import AccessToken, VideoGrants
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    at,
    explicit,
    new_room,
)
from tests.integration.host.livekit_proxy import LiveKitProxy, open_livekit_proxy
from tests.integration.host.test_jobs import forkserver

from loqua_host.lessons.dispatch_state import JOIN_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "losing"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxy(deployment: Deployment) -> AsyncIterator[LiveKitProxy]:
    """Yield a way to LiveKit that workers can be cut off from."""
    async with open_livekit_proxy(deployment.livekit.url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def losing(
    deployment: Deployment, proxy: LiveKitProxy, tmp_path: Path
) -> AsyncIterator[HostProcess]:
    """Yield a host with a place for one lesson, whose first job process is warm."""
    environ, lessons = {"LIVEKIT_URL": proxy.url}, {"max_lessons": 1}
    hosting = deployment.host(tmp_path, explicit(AGENT), environ=environ, lessons=lessons)
    async with hosting as host:
        yield host


async def warm_process(host: HostProcess) -> psutil.Process:
    """Return the one job process of a host that has just become ready.

    Plugins are inspected and the link is probed in short-lived children of the same forkserver.
    """
    async with asyncio.timeout(PATIENCE):
        while len(found := psutil.Process(forkserver(host)).children()) != 1:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.05)
    return found[0]


async def replaced(host: HostProcess) -> None:
    """Wait until another process gets warm, as the first has a job now."""
    async with asyncio.timeout(PATIENCE):
        while len(psutil.Process(forkserver(host)).children()) < 2:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.05)


async def test_a_learner_gets_a_tutor_though_the_warm_process_was_killed(
    deployment: Deployment, losing: HostProcess
) -> None:
    """The kernel may kill one when memory is short, without a notice (livekit/agents#3841)."""
    (await warm_process(losing)).kill()
    async with deployment.visit(agent_name=AGENT) as learner:
        await losing.log.until("lesson.opened", user_id=learner.user_id)
    await deployment.api.until("sessions", learner.user_id)


async def test_a_learner_whose_job_dies_before_it_joins_gets_another_soon(
    deployment: Deployment, losing: HostProcess
) -> None:
    """LiveKit says that it was accepted, and no more (livekit/livekit#4374)."""
    process = await warm_process(losing)
    process.suspend()
    async with deployment.visit(agent_name=AGENT) as learner:
        accepted = await losing.log.until("job.accepted", room=learner.name)
        await replaced(losing)
        process.kill()
        await losing.log.until("job.lost", room=learner.name)
        opened = await losing.log.until("lesson.opened", user_id=learner.user_id)
    assert at(opened) - at(accepted) < JOIN_SECONDS
    await deployment.api.until("sessions", learner.user_id)
    assert len(losing.log.find("lesson.opened", user_id=learner.user_id)) == 1


async def test_a_learner_whose_job_dies_as_it_enters_the_room_gets_another_soon(
    deployment: Deployment, losing: HostProcess
) -> None:
    """Whom it leaves there is no tutor, though LiveKit shows it for 20 s (livekit/livekit#4374)."""
    room = new_room()
    await deployment.open_room(room, AGENT)
    entered = await losing.log.until("room.connected", room=room)
    os.kill(entered["pid"], signal.SIGKILL)
    await losing.log.until("job.lost", room=room)
    async with deployment.visit(room) as learner:
        opened = await losing.log.until("lesson.opened", user_id=learner.user_id)
        await learner.met()
    assert at(opened) - at(entered) < JOIN_SECONDS


async def test_a_tutor_whose_identity_another_takes_comes_back(
    deployment: Deployment, losing: HostProcess
) -> None:
    """LiveKit ends the job for it, too; the other one is sent away (livekit/livekit#4887)."""
    async with deployment.visit(agent_name=AGENT) as learner:
        await losing.log.until("progress.made", user_id=learner.user_id)
        [tutor] = learner.tutors
        token = AccessToken(deployment.livekit.api_key, deployment.livekit.api_secret)
        token = token.with_identity(tutor.identity)
        grants = VideoGrants(room_join=True, room=learner.name)
        async with deployment.enter(token.with_grants(grants).to_jwt(), "", ""):
            lost = await losing.log.until("lesson.interrupted", user_id=learner.user_id)
            resumed = await losing.log.until("lesson.resumed", user_id=learner.user_id)
            await learner.until(lambda them: [one.identity for one in them] != [tutor.identity])
            await learner.met()
    assert lost["crashed"] is False
    assert at(resumed) - at(lost) < JOIN_SECONDS
    await deployment.api.until("sessions", learner.user_id)
    assert len(await deployment.api.arrivals("sessions", learner.user_id)) == 1


async def test_a_job_that_ends_while_its_worker_has_no_connection_frees_its_place(
    deployment: Deployment, losing: HostProcess, proxy: LiveKitProxy
) -> None:
    """LiveKit may not hear of its end; there is one place (livekit/livekit#4894)."""
    async with deployment.visit(agent_name=AGENT) as first:
        await losing.log.until("lesson.opened", user_id=first.user_id)
        proxy.cut_workers()
    await deployment.api.until("sessions", first.user_id)
    async with deployment.visit(agent_name=AGENT) as second:
        await losing.log.until("lesson.opened", user_id=second.user_id)

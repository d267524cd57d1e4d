"""The hostile set: misbehaving tutors on a real host, all at once, beside an honest one.

host/docs/threat-model.md tells in a table what each test shows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import pytest_asyncio
from tests.integration.host.conftest import (
    PATIENCE,
    START_PATIENCE,
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)
from tests.integration.host.test_secrets import AS_ANY_USER

from loqua_host.dev.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "hostile-run"

MISBEHAVIOUR: Mapping[str, Mapping[str, object]] = {
    "blocks": {},
    "swallows-cancellation": {},
    "eats-memory": {},
    "eats-shared-memory": {},
    "exits": {},
    "burns-cpu": {},
    "floods-log": {},
    "returns-garbage": {"on_progress_tick": "nonsense", "on_session_end": "nonsense"},
    "keeps-threads": {},
    "asks-for-others": {},
    "forges-log": {},
}
"""Each misbehaviour, and what else its script contains."""


@dataclass(frozen=True, slots=True)
class HostileRun:
    """A host with an honest lesson, one with all denied attempts, one per misbehaviour."""

    host: HostProcess
    honest: SilentLearner
    attempting: SilentLearner
    doing: Mapping[str, SilentLearner]

    async def until(self, misbehaviour: str, event: str, **fields: object) -> dict[str, Any]:
        """Wait for a log line of the lesson with a misbehaviour."""
        return await self.host.log.until(event, room=self.doing[misbehaviour].name, **fields)

    async def resumed(self, misbehaviour: str) -> None:
        """Wait until the lesson has a tutor again, in a new process."""
        user_id = self.doing[misbehaviour].user_id
        await self.host.log.until("lesson.interrupted", user_id=user_id)
        await self.host.log.until("lesson.resumed", user_id=user_id)

    async def goes_on(self, visitor: SilentLearner) -> None:
        """Wait for progress of a lesson that is made from now on."""
        made = len(self.host.log.find("progress.made", user_id=visitor.user_id))
        await self.host.log.until("progress.made", user_id=visitor.user_id, count=made + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostileRun]:
    """Start all lessons, and yield them while they go on.

    In the end the honest learner's record is right, and the lesson was never interrupted.
    """
    [tutor] = explicit(AGENT).values()
    limits = {"memory": 1000, "cpu": 0.2, "log": 100}
    plain = {"worker_type": "explicit"}
    tutors = {
        "probe-specialist": {**tutor, "limits": limits},
        "probe-crashing": {**plain, "agent_name": "crashing"},
        "probe-hanging": {**plain, "agent_name": "hanging"},
    }
    directory = tmp_path_factory.mktemp("hostile_run")
    lessons = {"limits": {"on_user_ready": 8}}
    async with deployment.host(directory, tutors, wrapper=AS_ANY_USER, lessons=lessons) as host:
        async with AsyncExitStack() as visits:

            async def visit(**script: object) -> SilentLearner:
                room = new_room()
                host.script(room, tutor="probe-specialist", **script)
                return await visits.enter_async_context(deployment.visit(room, agent_name=AGENT))

            honest = await visit(report={"topics_covered": ["honesty"]})
            await host.log.until("progress.made", user_id=honest.user_id)
            ports = [host.ops_port, free_port()]
            attempts = {"host": host.pid, "ledger": str(directory / "ledger.db"), "ports": ports}
            attempting = await visit(attempts=attempts)
            doing = {
                misbehaviour: await visit(misbehaviour=misbehaviour, **more)
                for misbehaviour, more in MISBEHAVIOUR.items()
            }
            yield HostileRun(host, honest, attempting, doing)
            assert not host.log.find("lesson.interrupted", user_id=honest.user_id)
        record = await deployment.api.until("sessions", honest.user_id)
    assert record["payload"]["topics_covered"] == ["honesty"]


@pytest.fixture
def hostile_run(running: HostileRun) -> HostileRun:
    """Return the running lessons, with all lines of their host's log."""
    running.host.log.since = 0
    return running


async def test_what_the_kernel_denies_is_denied(hostile_run: HostileRun) -> None:
    """The lesson that has tried it goes on."""
    found = await hostile_run.host.log.until("probe.attempted", room=hostile_run.attempting.name)
    assert {name: it for name, it in found["outcomes"].items() if it != "denied"} == {}
    await hostile_run.goes_on(hostile_run.attempting)


@pytest.mark.parametrize("misbehaviour", ["exits", "blocks"])
async def test_a_lesson_whose_process_ends_is_resumed(
    hostile_run: HostileRun, misbehaviour: str
) -> None:
    """Also if the process would not end by itself."""
    await hostile_run.resumed(misbehaviour)
    await hostile_run.goes_on(hostile_run.doing[misbehaviour])


async def test_a_hook_that_swallows_cancellation_is_abandoned(hostile_run: HostileRun) -> None:
    """Without `on_user_ready` the lesson ends, with a record."""
    await hostile_run.until("swallows-cancellation", "hook.abandoned")
    user_id = hostile_run.doing["swallows-cancellation"].user_id
    await hostile_run.host.log.until("lesson.recorded", user_id=user_id)


async def test_memory_above_the_limit_is_refused(hostile_run: HostileRun) -> None:
    """The hook gets a MemoryError, and the log says what to do."""
    failed = await hostile_run.until("eats-memory", "hook.failed")
    assert "limits.memory" in failed["hint"]


@pytest.mark.parametrize(
    ("misbehaviour", "limit"), [("eats-shared-memory", "memory"), ("burns-cpu", "cpu")]
)
async def test_a_process_over_its_limit_is_killed_and_its_lesson_resumed(
    hostile_run: HostileRun, misbehaviour: str, limit: str
) -> None:
    """The log says which limit, what was used, and where to raise it."""
    await hostile_run.resumed(misbehaviour)
    over = hostile_run.host.log.find("job.over_limit", limit=limit)
    assert all(it["used"] > it["allowed"] and limit in it["hint"] for it in over)
    assert over


async def test_a_flood_of_log_lines_is_cut_off(hostile_run: HostileRun) -> None:
    """After as many kilobytes as the tutor's limit says, once a minute."""
    limited = await hostile_run.until("floods-log", "job.log_limited")
    room = hostile_run.doing["floods-log"].name
    assert limited["allowed"] == 100
    await hostile_run.goes_on(hostile_run.honest)
    assert 100 < len(hostile_run.host.log.find("probe.flood", room=room)) < 2000


async def test_garbage_is_refused_and_the_lesson_goes_on(hostile_run: HostileRun) -> None:
    """Its hooks fail, each by its name."""
    await hostile_run.until("returns-garbage", "hook.failed", hook="on_progress_tick")


async def test_threads_do_not_outlive_the_lesson(hostile_run: HostileRun) -> None:
    """The process is gone, and its record is there."""
    user_id = hostile_run.doing["keeps-threads"].user_id
    ready = await hostile_run.until("keeps-threads", "probe.misbehaviour")
    await hostile_run.host.log.until("lesson.recorded", user_id=user_id)
    async with asyncio.timeout(PATIENCE):
        while psutil.pid_exists(ready["pid"]):  # noqa: ASYNC110  # not our child
            await asyncio.sleep(0.2)


async def test_no_lesson_becomes_another_learners(
    deployment: Deployment, hostile_run: HostileRun
) -> None:
    """The host takes the learner from LiveKit, whatever the job says."""
    asking = hostile_run.doing["asks-for-others"]
    await hostile_run.host.log.until("learner.unknown", user_id=asking.user_id)
    for kind in ("contexts", "sessions"):
        assert await deployment.api.arrivals(kind, "somebody-else") == []
    await hostile_run.goes_on(asking)


async def test_forged_log_records_carry_the_name_of_their_job(hostile_run: HostileRun) -> None:
    """Other output is marked; a record that names another process or lesson gets the job's own."""
    await hostile_run.until("forges-log", "job.log_unreadable")
    forged = await hostile_run.until("forges-log", "host.forged")
    assert forged["pid"] != 1
    assert forged["job_id"] != "AJ_forged"


async def test_a_tutor_that_crashes_at_import_is_refused_and_one_that_hangs_in_jobs_is_reported(
    hostile_run: HostileRun,
) -> None:
    """The others of the host start, and teach."""
    await hostile_run.host.log.until("tutor.refused", tutor="probe-crashing")
    await hostile_run.host.log.until("job.process_failed", patience=START_PATIENCE)


async def test_the_host_is_healthy_and_shows_its_sandbox(hostile_run: HostileRun) -> None:
    """And the honest lesson goes on."""
    async with hostile_run.host.asking() as client:
        health = (await client.get("/health")).json()
    assert "sandbox" in str(health)
    await hostile_run.goes_on(hostile_run.honest)

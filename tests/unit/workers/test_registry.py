"""The registry: running jobs and free capacity, while workers start and stop."""

from typing import Any

import pytest
from tests.unit.workers.conftest import FakeWorker

from loqua_host.errors import LinkError
from loqua_host.link.server import JobRef
from loqua_host.workers.registry import WorkerRegistry


def roster_of(*workers: FakeWorker) -> WorkerRegistry:
    """Return a registry with these workers."""
    registry: Any = WorkerRegistry()
    for worker in workers:
        registry.add(worker)
    return registry  # type: ignore[no-any-return]  # of fakes


def registered(name: str, *jobs: str, max_jobs: int = 3) -> FakeWorker:
    """Return a worker that LiveKit has, with these jobs."""
    worker = FakeWorker(name, jobs=frozenset(jobs), max_jobs=max_jobs)
    worker.registered.set()
    return worker


def test_slots_are_counted_by_tutor() -> None:
    """None where LiveKit does not have the worker; the tutor runs here all the same."""
    registry = roster_of(
        registered("one", "a"), registered("two", "b", "c", "d"), FakeWorker("new")
    )
    assert registry.job_limits() == {"one": 2, "two": 0, "new": 0}
    assert registry.busy == 4


def test_a_worker_that_reconnects_has_no_slots() -> None:
    """LiveKit, when it is back, would lose what is dispatched to nobody."""
    worker = registered("one", "a")
    worker.reconnects = True
    assert roster_of(worker).job_limits() == {"one": 0}


def test_jobs_of_a_worker_that_leaves_take_slots_of_its_successor() -> None:
    """The limit of a tutor is hard."""
    old, new = registered("one", "a", "b"), registered("one", "c", max_jobs=4)
    registry = roster_of(old, new)
    old.leaving.set()
    assert registry.job_limits() == {"one": 1}
    assert registry.busy == 3
    assert registry.serving("one") == (new,)


def test_a_successor_that_is_not_registered_yet_costs_no_slot() -> None:
    """The one before takes the jobs until then."""
    assert roster_of(registered("one"), FakeWorker("one")).job_limits() == {"one": 3}


def test_a_tutor_without_a_worker_that_takes_jobs_has_no_slots_and_is_still_known() -> None:
    """Its last jobs may still ask for what it is; with the worker it goes."""
    old = registered("one", "a")
    registry = roster_of(old)
    seen = registry.tutors
    old.leaving.set()
    assert (registry.job_limits(), dict(seen)) == ({}, {"one": old.tutor})
    registry.remove(old)  # type: ignore[arg-type]  # a fake
    assert dict(seen) == {}


def test_a_tutor_that_was_enabled_again_outlives_its_old_worker() -> None:
    """It is as the latest says."""
    old, new = registered("one"), registered("one", max_jobs=1)
    registry = roster_of(old, new)
    registry.remove(old)  # type: ignore[arg-type]  # a fake
    assert dict(registry.tutors) == {"one": new.tutor}


def test_a_job_is_found_whichever_worker_it_is_of() -> None:
    """By its token and its process together, one that leaves included."""
    job = JobRef("job", "room", "two")
    leaving = FakeWorker("two", found={("token", 7): job})
    leaving.leaving.set()
    registry = roster_of(FakeWorker("one"), leaving)
    assert registry.authorise("token", 7) == job
    for token, pid in (("token", 8), ("other", 7)):
        with pytest.raises(LinkError, match="no running job"):
            registry.authorise(token, pid)


def test_a_tutor_whose_job_processes_do_not_get_ready_has_no_slot() -> None:
    """Another host may take its jobs (livekit/agents#5868)."""
    stuck = registered("one")
    stuck.stuck = True
    assert roster_of(stuck).job_limits() == {"one": 0}

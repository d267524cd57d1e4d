"""Retries of processes for jobs that fail to start, with pauses."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from livekit.agents.ipc.proc_pool import ProcPool
from livekit.agents.ipc.supervised_proc import SupervisedProc

from loqua_host import livekit_internals
from loqua_host.lessons.dispatch_state import JOIN_SECONDS
from loqua_host.livekit_internals import failed_starts, patch_workers
from loqua_host.testing.virtual_time import VirtualLoop
from loqua_host.workers.worker import STUCK


@pytest.fixture
def virtual() -> Iterator[VirtualLoop]:
    """Yield a loop in which a minute passes in no time."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], bool]], Any]:
    """Return what makes LiveKit's own pool, whose processes get ready when a test says so."""

    def make(gets_ready: Callable[[], bool]) -> Any:
        async def start(pool: Any) -> None:
            pool.starts.append(asyncio.get_running_loop().time())
            if gets_ready():
                pool._warmed_proc_queue.put_nowait(object())
                pool.emit("process_ready", object())

        monkeypatch.setattr(livekit_internals, "_start_process", start)
        monkeypatch.setattr(ProcPool, "_proc_spawn_task", ProcPool._proc_spawn_task)
        monkeypatch.setattr(SupervisedProc, "join", SupervisedProc.join)
        patch_workers()
        anything: Any = None
        names = "initialize_process_fnc job_entrypoint_fnc session_end_fnc simulation_end_fnc"
        names += " initialize_timeout close_timeout session_end_timeout inference_executor mp_ctx"
        names += " job_executor_type memory_warn_mb memory_limit_mb http_proxy loop"
        made: Any = ProcPool(num_idle_processes=1, **dict.fromkeys(names.split(), anything))
        made.starts = []
        return made

    return make


def failures_of(pool: Any) -> int:
    """Return the failures that a worker with this pool counts."""
    return failed_starts(SimpleNamespace(_proc_pool=pool))  # type: ignore[arg-type]  # a fake


async def run_for(pool: Any, seconds: float) -> None:
    """Run a pool for a while."""
    task = asyncio.create_task(pool._main_task())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])


def test_a_process_that_cannot_be_started_is_tried_less_and_less_often(
    virtual: VirtualLoop, pool: Callable[..., Any]
) -> None:
    """Ten times a second it would be, for each tutor."""

    async def main() -> Any:
        failing = pool(lambda: False)
        await run_for(failing, 600)
        return failing

    with structlog.testing.capture_logs():
        failing = virtual.run_until_complete(main())
    pauses = [b - a for a, b in zip(failing.starts, failing.starts[1:], strict=False)]
    assert len(failing.starts) < 30
    assert pauses[0] >= 1
    assert 30 <= max(pauses) < 31
    assert failures_of(failing) == len(failing.starts)


def test_one_that_gets_ready_has_all_before_it_forgotten(
    virtual: VirtualLoop, pool: Callable[..., Any]
) -> None:
    """The next is started as soon as it is needed."""

    async def main() -> Any:
        outcomes = iter([False, False, True])
        repaired = pool(lambda: next(outcomes))
        await run_for(repaired, 60)
        return repaired

    with structlog.testing.capture_logs():
        repaired = virtual.run_until_complete(main())
    assert (len(repaired.starts), failures_of(repaired)) == (3, 0)


def test_a_job_does_not_wait_for_ever_for_a_process_that_does_not_get_ready(
    virtual: VirtualLoop, pool: Callable[..., Any]
) -> None:
    """It fails, and its learner is left to be called for again (livekit/agents#5868)."""

    async def main() -> Any:
        failing = pool(lambda: False)
        keeping = asyncio.create_task(failing._main_task())
        failing._jobs_waiting_for_process += 1
        with pytest.raises(RuntimeError):
            await failing._acquire_proc("job")
        seconds = asyncio.get_running_loop().time()
        keeping.cancel()
        await asyncio.wait([keeping])
        return failing, seconds

    with structlog.testing.capture_logs():
        failing, seconds = virtual.run_until_complete(main())
    assert seconds <= JOIN_SECONDS
    assert len(failing.starts) >= STUCK

"""Progress ticks and the time they tell."""

import asyncio
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.records import Progress
from loqua_host.errors import HookFailedError
from loqua_host.job.clock import Stopwatch
from loqua_host.job.ticker import tick


@pytest.fixture
def ticking(job: Any) -> Any:
    """Give what ticks for so many virtual seconds; then it has ended by itself or is ended."""

    async def run(seconds: float) -> bool:
        job.clock.run()
        task = asyncio.create_task(
            tick(job.lesson, job.hooks, job.link, job.clock, every=30.0, give_up_after=3)
        )
        done, _ = await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        await asyncio.wait({task})
        return bool(done) and task.exception() is None

    return run


def fail(*_: object) -> None:
    """Fail as a hook does."""
    raise HookFailedError("on_progress_tick", "took longer than 5 s")


async def test_ticks_are_numbered_and_tell_the_time_taught(job: Any, ticking: Any) -> None:
    """Every 30 s, from 1."""
    assert not await ticking(100)
    assert [(one.number, one.seconds) for one in job.hooks.ticks] == [(1, 30), (2, 60), (3, 90)]
    assert [message.progress.words_learned for message in job.link.sent] == [1, 2, 3]


async def test_nothing_new_is_not_sent(job: Any, ticking: Any) -> None:
    """A tick without progress costs the API nothing."""
    job.hooks.instead["on_progress_tick"] = lambda *_: None
    await ticking(100)
    assert job.link.sent == []


async def test_ticks_stop_after_so_many_failures_in_a_row(job: Any, ticking: Any) -> None:
    """The lesson goes on without; the log says it once."""
    job.hooks.instead["on_progress_tick"] = fail
    with structlog.testing.capture_logs() as logs:
        assert await ticking(300)
    assert len(job.hooks.ticks) == 3
    assert [log["event"] for log in logs] == ["lesson.ticks_stopped"]


async def test_failures_that_are_not_in_a_row_do_not_add_up(job: Any, ticking: Any) -> None:
    """Two bad ticks, a good one, and two bad ones again."""
    job.hooks.instead["on_progress_tick"] = lambda _lesson, one: (
        Progress() if one.number % 3 == 0 else fail()
    )
    assert not await ticking(30 * 9 + 1)
    assert len(job.link.sent) == 3


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"lock": object()}, "state"),
        ({"when": {1, 2}}, "state"),
        ({"notes": "x" * 20_000}, "lesson.state has 200"),
        ({"self": "\ud800"}, "state"),
    ],
    ids=["an object", "a set", "too much", "half a character"],
)
async def test_a_state_that_cannot_be_kept_is_refused_by_name(
    job: Any, ticking: Any, state: Any, named: str
) -> None:
    """The lesson goes on, and the next good tick is sent."""
    job.lesson.state = state
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(ticking(65))
        await asyncio.sleep(45)
        job.lesson.state = {"scene": 2}
        await running
    assert [message.state for message in job.link.sent] == [{"scene": 2}]
    [refused] = logs
    assert refused["event"] == "lesson.progress_refused"
    assert named in refused["why"]


async def test_progress_that_breaks_its_contract_is_refused_by_name(job: Any, ticking: Any) -> None:
    """However the tutor made it."""
    bad = Progress.model_construct(pronunciation_score=float("nan"))
    job.hooks.instead["on_progress_tick"] = lambda *_: bad
    with structlog.testing.capture_logs() as logs:
        await ticking(31)
    assert job.link.sent == []
    assert "progress.pronunciation_score" in logs[0]["why"]


async def test_a_lost_host_fails_no_tick(job: Any, ticking: Any) -> None:
    """The link's reader ends the lesson; ticks have no say in it."""
    job.link.gone = True
    assert not await ticking(100)


@given(st.lists(st.tuples(st.sampled_from(["run", "pause"]), st.integers(0, 100_000))))
def test_the_stopwatch_counts_exactly_while_it_runs(steps: list[tuple[str, int]]) -> None:
    """However often it is told the same twice."""
    now, expected, runs = 0.0, 0.0, False
    watch = Stopwatch(lambda: now)
    for step, seconds in steps:
        getattr(watch, step)()
        runs = step == "run"
        now += seconds
        expected += seconds if runs else 0.0
        assert watch.seconds == expected

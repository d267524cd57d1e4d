"""Progress ticks and their times."""

import asyncio
from itertools import count
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.records import Progress, Tick
from loqua_host.errors import HookFailedError
from loqua_host.job.lesson.checkpoints import Checkpoints
from loqua_host.job.lesson.sequence import tick
from loqua_host.job.lesson.stopwatch import Stopwatch


def fail(*_: object) -> None:
    """Fail as a hook does."""
    raise HookFailedError("on_progress_tick", "took longer than 5 s")


class Ticking:
    """The steps of a tick in a job."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self.send_checkpoint = Checkpoints(job.lesson, job.link, job.clock).send

    async def until_tick(self) -> None:
        """Wait for half a minute."""
        await asyncio.sleep(30.0)

    async def on_progress_tick(self, number: int) -> Progress | None:
        """Call the hook."""
        now = Tick(number=number, seconds=self._job.clock.seconds)
        progress: Progress | None = await self._job.hooks.on_progress_tick(self._job.lesson, now)
        return progress


@pytest.fixture
def ticking(job: Any) -> Any:
    """Return what ticks for so many virtual seconds; then it has ended by itself or is ended."""

    async def run(seconds: float) -> bool:
        job.clock.run()
        task = asyncio.create_task(
            tick(Ticking(job), most_failures=3)  # type: ignore[arg-type]  # no other step
        )
        done, _ = await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        await asyncio.wait({task})
        return bool(done) and task.exception() is None

    return run


async def test_ticks_are_numbered_and_tell_the_time_taught(job: Any, ticking: Any) -> None:
    """Every 30 s, from 1."""
    assert not await ticking(100)
    assert [(one.number, one.seconds) for one in job.hooks.ticks] == [(1, 30), (2, 60), (3, 90)]
    assert [message.progress.words_learned for message in job.link.sent] == [1, 2, 3]


@pytest.mark.parametrize("hook", [lambda *_: None, fail], ids=["nothing", "a failure"])
async def test_state_is_sent_with_each_tick_whatever_the_tutor_says(
    job: Any, ticking: Any, hook: Any
) -> None:
    """The API hears nothing of it."""
    job.lesson.state = {"scene": 2}
    job.hooks.instead["on_progress_tick"] = hook
    await ticking(65)
    sent = [(one.seconds, one.progress, one.state) for one in job.link.sent]
    assert sent == [(30, None, {"scene": 2}), (60, None, {"scene": 2})]


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
    assert [message.progress is not None for message in job.link.sent] == [False, False, True] * 3


CIRCLE: dict[str, Any] = {}
CIRCLE["itself"] = CIRCLE


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"lock": object()}, "object"),
        ({"secret word": {1, 2}}, "set"),
        ({"secret word": [{"a": (1, 2)}]}, "tuple"),
        ({1: "a"}, "int"),
        ({"a": {1: 2}}, "int"),
        (None, "NoneType"),
        ([1], "list"),
        (CIRCLE, "dict"),
        ({"telemetry": "x" * 20_000}, "lesson.state has 200"),
        ({"telemetry": "ñ" * 10_000}, "lesson.state has 200"),
        ({"self": "\ud800"}, "unpaired surrogate"),
        ({"score": float("nan")}, "not finite"),
    ],
    ids=count(),
)
async def test_a_state_that_cannot_be_kept_is_refused_by_name(
    job: Any, ticking: Any, state: Any, named: str
) -> None:
    """Once, with its type and no word of it; progress is sent, and the next good state, too."""
    job.lesson.state = state
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(ticking(95))
        await asyncio.sleep(75)
        job.lesson.state = {"scene": 2}
        await running
    assert [message.state for message in job.link.sent] == [None, None, {"scene": 2}]
    assert [message.progress.words_learned for message in job.link.sent] == [1, 2, 3]
    [refused] = logs
    assert (refused["event"], refused["log_level"]) == ("lesson.state_refused", "warning")
    assert named in refused["why"]
    assert "secret word" not in str(refused)


async def test_progress_that_breaks_its_contract_is_refused_by_name(job: Any, ticking: Any) -> None:
    """However the tutor made it."""
    bad = Progress.model_construct(pronunciation_score=float("nan"))
    job.hooks.instead["on_progress_tick"] = lambda *_: bad
    with structlog.testing.capture_logs() as logs:
        await ticking(31)
    assert [message.progress for message in job.link.sent] == [None]
    assert "progress.pronunciation_score" in logs[0]["why"]


async def test_a_lost_host_fails_no_tick(job: Any, ticking: Any) -> None:
    """The link's reader ends the lesson; ticks have no say in it."""
    job.link.gone = True
    assert not await ticking(100)


@given(st.lists(st.tuples(st.sampled_from(["run", "pause"]), st.integers(0, 100_000))))
def test_the_stopwatch_counts_exactly_while_it_runs(steps: list[tuple[str, int]]) -> None:
    """However often the same value is reported."""
    now, expected, runs = 0.0, 0.0, False
    watch = Stopwatch(lambda: now)
    for step, seconds in steps:
        getattr(watch, step)()
        runs = step == "run"
        now += seconds
        expected += seconds if runs else 0.0
        assert watch.seconds == expected

"""The order of a lesson, compared with its documentation."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.errors import HookFailedError
from loqua_host.job.lesson.sequence import (
    REASONS,
    AfterLesson,
    Reason,
    Steps,
    after_lesson,
    run_lesson,
)

MANUAL = (Path(__file__).parents[3] / "host/README.md").read_text("utf-8")

REPORTED = LessonReport(topics_covered=("food",))
TICK = "`on_progress_tick` · send checkpoint · "
BEGINNING = "`create_agent` · start session · take floor · `on_user_ready` · "
HOOKS = ("create_agent", "on_user_ready", "on_progress_tick", "on_session_end")


class RecordedSteps(Steps):
    """Steps that are recorded in order.

    Args:
        failing: The hook that fails.
        ended_after: The step after which somebody ends the lesson, for a reason.
    """

    def __init__(self, failing: str = "", ended_after: tuple[str, str] = ("", "")) -> None:
        self.failing = failing
        self.ended_after, self.ended_for = ended_after
        self.taken: list[str] = []
        self.reason: str | None = None
        self.endings: list[Ending] = []
        self.delivered: list[tuple[LessonReport | None, bool]] = []
        self._over = asyncio.Event()

    def take(self, step: str) -> None:
        """Write a step down; a hook may fail in it, or the lesson end after it."""
        self.taken.append(step)
        if step == self.ended_after:
            self.end(self.ended_for)
        if step == self.failing:
            raise HookFailedError(step, "as the test says")

    async def until_ended(self, teaching: Coroutine[None, None, None]) -> None:
        """Teach until somebody ends the lesson."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(teaching)
            await self._over.wait()
            task.cancel()

    async def create_agent(self) -> None:
        """Take this step."""
        self.take("create_agent")

    async def start_session(self) -> None:
        """Take this step, once."""
        if "start_session" not in self.taken:
            self.take("start_session")

    async def take_floor(self) -> None:
        """Take this step."""
        self.take("take_floor")

    async def on_user_ready(self) -> None:
        """Take this step."""
        self.take("on_user_ready")

    async def until_tick(self) -> None:
        """Wait."""
        await asyncio.sleep(30)

    async def on_progress_tick(self, number: int) -> Progress | None:
        """Take this step; end the lesson in the fourth unless somebody else does."""
        if number > 3 and not self.ended_after:
            self.end("goal_reached")
            await asyncio.sleep(1)
        self.take("on_progress_tick")
        return None

    async def send_checkpoint(self, progress: Progress | None = None) -> None:
        """Take this step."""
        assert progress is None
        self.take("send_checkpoint")
        if self.failing == "on_progress_tick" and self.taken.count("send_checkpoint") == 3:
            asyncio.get_running_loop().call_later(60, self.end, "goal_reached")

    async def say_unavailable(self) -> None:
        """Take this step."""
        self.take("say_unavailable")

    def end(self, reason: str) -> None:
        """End the lesson."""
        self.reason = self.reason or reason
        self._over.set()

    async def leave_room(self) -> None:
        """Take this step."""
        self.take("leave_room")

    def stop_watching(self) -> None:
        """Take this step."""
        self.take("stop_watching")

    def fall_silent(self) -> None:
        """Take this step."""
        self.take("fall_silent")

    async def wait_for_playout(self) -> None:
        """Take this step."""
        self.take("wait_for_playout")

    async def take_last_words(self) -> None:
        """Take this step."""
        self.take("take_last_words")

    async def close_session(self) -> None:
        """Take this step."""
        self.take("close_session")

    def ending(self, reason: str) -> Ending:
        """Return an ending."""
        return Ending(reason=reason, seconds=1)

    async def on_session_end(self, ending: Ending) -> LessonReport | None:
        """Take this step."""
        self.endings.append(ending)
        self.take("on_session_end")
        return REPORTED

    async def deliver(
        self, ending: Ending, report: LessonReport | None, *, resumable: bool
    ) -> None:
        """Take this step."""
        assert self.endings == [ending]
        self.delivered.append((report, resumable))
        self.take("deliver")

    async def report_connection_lost(self) -> None:
        """Take this step."""
        self.take("report_connection_lost")


DISTURBANCES: dict[str, Callable[[], RecordedSteps]] = {
    "nothing goes wrong": RecordedSteps,
    "`create_agent` fails": lambda: RecordedSteps("create_agent"),
    "`on_user_ready` fails": lambda: RecordedSteps("on_user_ready"),
    "`on_progress_tick` fails three times in a row; ticks stop": lambda: RecordedSteps(
        "on_progress_tick"
    ),
    "`on_session_end` fails": lambda: RecordedSteps(
        "on_session_end", ("on_user_ready", "goal_reached")
    ),
    "an engine fails": lambda: RecordedSteps(ended_after=("on_user_ready", Reason.VOICE_LOST)),
    "LiveKit is lost": lambda: RecordedSteps(ended_after=("on_user_ready", Reason.CONNECTION_LOST)),
    "the host is lost": lambda: RecordedSteps(ended_after=("on_user_ready", Reason.HOST_LOST)),
    "the learner is away and another one waits": lambda: RecordedSteps(
        ended_after=("on_user_ready", Reason.CAPACITY_NEEDED)
    ),
}


@pytest.fixture
def run() -> Callable[[RecordedSteps], Coroutine[Any, Any, RecordedSteps]]:
    """Return what runs a lesson to its end."""

    async def run(steps: RecordedSteps) -> RecordedSteps:
        await run_lesson(steps, failing_ticks=3)
        return steps

    return run


def documented(heading: str) -> dict[str, str]:
    """Return a table of the manual, by its first column."""
    rows = MANUAL.split(f"| {heading} |", 1)[1].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows[: rows.index("")]]
    return {cell[0]: cell[1] for cell in cells}


def shown(taken: list[str]) -> str:
    """Return steps as the manual shows them: hooks as code, ticks once, the known beginning cut."""
    words = " · ".join(f"`{it}`" if it in HOOKS else it.replace("_", " ") for it in taken)
    ticks = f"{TICK}{TICK}{TICK}"
    beginning = words.replace(ticks, f"{TICK}… · ")
    return beginning.replace(BEGINNING, "… · ") if ticks not in words else beginning


@pytest.mark.parametrize("disturbance", DISTURBANCES)
async def test_the_manual_shows_the_order_that_a_lesson_has(run: Any, disturbance: str) -> None:
    """Step by step, whatever goes wrong."""
    steps = await run(DISTURBANCES[disturbance]())
    assert documented("what happens")[disturbance] == shown(steps.taken)


def test_the_manual_shows_each_of_these_and_no_other() -> None:
    """A failure that nobody tries is documented by guess."""
    assert list(documented("what happens")) == list(DISTURBANCES)


def test_the_manual_shows_each_reason_and_what_becomes_of_the_lesson() -> None:
    """Authors see the reasons in `ending.reason`, operators in logs."""
    documented = {f"`{it}`": f"{REASONS[it]} | {after_lesson(it)}" for it in Reason}
    rows = MANUAL.split("| reason |", 1)[1].splitlines()[2:]
    cells = [row.strip("| ").split(" | ", 1) for row in rows[: rows.index("")]]
    assert dict(cells) == documented


@pytest.mark.parametrize("reason", ["goal_reached", "host_stopping", "learner_left"])
def test_a_reason_of_anybodys_else_is_recorded(reason: str) -> None:
    """A tutor may end its lesson for any."""
    assert after_lesson(reason) is AfterLesson.RECORD


async def test_a_failed_report_is_delivered_as_none(run: Any) -> None:
    """The host then makes the record from the last progress."""
    steps = await run(RecordedSteps("on_session_end", ("on_user_ready", "goal_reached")))
    assert steps.delivered == [(None, False)]


async def test_a_tutor_that_makes_room_reports_as_if_its_learner_had_left(run: Any) -> None:
    """And another job may go on with the lesson."""
    steps = await run(RecordedSteps(ended_after=("on_user_ready", Reason.CAPACITY_NEEDED)))
    assert [it.reason for it in steps.endings] == ["learner_left"]
    assert steps.delivered == [(REPORTED, True)]


async def test_a_failure_that_nobody_foresaw_is_recorded_and_comes_to_light(run: Any) -> None:
    """In a step of the host's own."""
    steps = RecordedSteps()
    steps.take_floor = None  # type: ignore[assignment, method-assign]  # what cannot be called
    with pytest.raises(ExceptionGroup):
        await run(steps)
    assert [it.reason for it in steps.endings] == ["job_failed"]


async def test_a_cancelled_job_leaves_the_room_before_anything_else(run: Any) -> None:
    """And leaves the lesson to another."""
    steps = RecordedSteps(ended_after=("never", ""))
    running = asyncio.create_task(run(steps))
    await asyncio.sleep(35)
    steps.taken.clear()
    running.cancel()
    await asyncio.wait({running})
    assert steps.taken == [
        *("leave_room", "stop_watching", "fall_silent", "take_last_words", "send_checkpoint"),
        "report_connection_lost",
    ]

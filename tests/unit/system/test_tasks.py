"""Background tasks that end with a block."""

import asyncio
import contextlib
import gc
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

import loqua_host
from loqua_host.system.tasks import background, both, forever, supervised, uncancelled, within

SECRET = "what-nobody-may-read"


class ManualSleep:
    """A replacement of `asyncio.sleep` that records the pauses."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._patch = patch("loqua_host.system.tasks.asyncio.sleep", self._sleep)

    def __enter__(self) -> Self:
        """Begin."""
        self._patch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._patch.stop()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_tasks_are_cancelled_when_the_block_ends_and_have_then_ended() -> None:
    """No task runs after the block."""
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cancelled.set()

    async with background() as tasks:
        tasks.create_task(work())
        await asyncio.sleep(0)
    assert cancelled.is_set()


async def test_a_task_that_fails_ends_the_block() -> None:
    """The other tasks are cancelled."""

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the block is what raises
        async with background() as tasks:
            tasks.create_task(fail())
            await asyncio.Event().wait()
    assert caught.value.subgroup(ValueError)


async def test_what_the_block_raises_comes_out() -> None:
    """Its tasks are cancelled all the same."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # as above
        async with background() as tasks:
            waiting = tasks.create_task(asyncio.Event().wait())
            raise ValueError("broken")
    assert caught.value.subgroup(ValueError)
    assert waiting.cancelled()


async def test_a_cancelled_block_is_cancelled() -> None:
    """The end of the block does not swallow it."""

    async def block() -> None:
        async with background() as tasks:
            tasks.create_task(asyncio.Event().wait())
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def failing(times: int, then: asyncio.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what fails so often, then waits for ever."""
    left = iter(range(times))

    async def step() -> None:
        if next(left, None) is not None:
            raise KeyError(SECRET)
        then.set()
        await asyncio.Event().wait()

    return step


async def test_a_supervised_task_that_fails_costs_nobody_else_anything() -> None:
    """It is logged with its name, the type and the place, and without what it says."""
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    with capture_logs() as logs:
        async with supervised() as tasks:
            tasks.create_task(failing(1, asyncio.Event())())
            tasks.create_task(work())
            await done.wait()
    [line] = logs
    assert (line["event"], line["log_level"], line["why"]) == ("error.caught", "error", "KeyError")
    assert line["task"] == "failing.<locals>.step"
    assert "test_tasks.py:" in line["at"][-1]
    assert SECRET not in str(line)


async def test_supervised_tasks_end_with_the_block_whatever_they_are_at() -> None:
    """Also one that had no time to begin."""
    async with supervised() as tasks:
        running = tasks.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        late = tasks.create_task(asyncio.Event().wait())
    assert running.cancelled()
    assert late.cancelled()


async def test_what_a_supervised_block_itself_raises_comes_out() -> None:
    """Only its tasks fail alone."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # as above
        async with supervised() as tasks:
            tasks.create_task(asyncio.Event().wait())
            raise ValueError("broken")
    assert caught.value.subgroup(ValueError)


async def test_what_goes_on_forever_begins_again_after_each_failure() -> None:
    """With longer pauses, so that a lasting fault does not fill the log."""
    reached = asyncio.Event()
    with capture_logs() as logs, ManualSleep() as slept:
        running = asyncio.create_task(forever(failing(8, reached)))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert slept.pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [line["again_in"] for line in logs] == slept.pauses
    assert {(line["task"], line["why"]) for line in logs} == {("failing.<locals>.step", "KeyError")}


async def test_a_failure_within_a_group_is_reported_by_what_failed_there() -> None:
    """Not as a group."""

    async def step() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(failing(1, asyncio.Event())())

    with capture_logs() as logs:
        async with supervised() as tasks:
            await asyncio.wait({tasks.create_task(step())})
    [line] = logs
    assert line["why"] == "KeyError"


async def test_what_returns_is_not_begun_again() -> None:
    """It has said that it is done."""
    begun = []

    async def once() -> None:
        begun.append(1)

    await forever(once)
    assert begun == [1]


async def test_of_two_that_run_at_the_same_time_each_gives_its_own() -> None:
    """Neither waits for the other."""
    event = asyncio.Event()

    async def set_event() -> int:
        event.set()
        return 2

    assert await both(event.wait(), set_event()) == (True, 2)


@pytest.mark.parametrize("failing", [0, 1], ids=["the first", "the second"])
async def test_of_two_that_run_at_the_same_time_one_fails_once_both_have_ended(
    failing: int,
) -> None:
    """No task continues unawaited."""
    ended: list[str] = []

    async def fail() -> None:
        raise OSError("no")

    async def go_on() -> None:
        await asyncio.sleep(0)
        ended.append("the other")

    two = [fail(), go_on()] if failing == 0 else [go_on(), fail()]
    with pytest.raises(OSError, match="no"):
        await both(*two)
    assert ended == ["the other"]


async def test_what_is_not_cancelled_midway_gives_what_it_would_give() -> None:
    """Result and exception are those of a plain await."""

    async def fail() -> None:
        raise ZeroDivisionError

    assert await uncancelled(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await uncancelled(fail())


@pytest.mark.parametrize("error", [None, ZeroDivisionError, asyncio.CancelledError])
async def test_what_is_not_cancelled_midway_ends_before_its_caller_does(
    error: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """However often that is cancelled, and however the work ends."""
    begun, free, ended = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await free.wait()
        ended.append(1)
        if error:
            raise error

    caller = asyncio.create_task(uncancelled(work()))
    await begun.wait()
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [1]
    gc.collect()
    assert caplog.messages == []  # asyncio complains of errors that nobody asked for


SOURCE = Path(loqua_host.__file__).parent
ENDED_BY_ONE = {
    "ops/watch.py",  # begun again as a whole
    "configuration/reload.py",  # likewise: the change was not applied
    "workers/supervisor.py",  # waits for events, which cannot fail
}
"""Where one task's failure may cancel the others: they are one, and what runs them goes on."""


def test_no_task_of_a_running_host_may_bring_it_down() -> None:
    """Each group that lessons depend on is one whose tasks fail alone."""
    parts = (
        "host.py",
        "configuration/rotation.py",
        "configuration/reload.py",
        "lessons",
        "records",
        "ops",
        "rooms",
        "workers",
    )
    files = [file for part in parts for file in (SOURCE / part, *(SOURCE / part).glob("**/*.py"))]
    using = {
        str(file.relative_to(SOURCE))
        for file in files
        if file.is_file() and re.search(r"\bbackground\(|asyncio\.TaskGroup\(", file.read_text())
    }
    assert using == ENDED_BY_ONE


async def test_what_ends_in_time_is_awaited_with_what_it_raises() -> None:
    """The limit changes nothing."""
    assert await within(60, asyncio.sleep(0.01))
    with pytest.raises(KeyError):
        await within(60, failing(1, asyncio.Event())())


async def test_what_does_not_let_go_is_left_to_itself() -> None:
    """Cancelled, and kept until it ends after all."""
    cancelled, ends = asyncio.Event(), asyncio.Event()

    async def cling() -> None:
        while not ends.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ends.wait()
            cancelled.set()

    assert not await within(0.05, cling())
    await cancelled.wait()
    assert any("cling" in repr(task) for task in asyncio.all_tasks())
    ends.set()
    async with asyncio.timeout(30):
        while any("cling" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110  # ends by itself
            await asyncio.sleep(0)


async def test_who_is_cancelled_while_they_wait_leaves_nothing_running() -> None:
    """The awaited task is cancelled, too."""
    over = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    waiting = asyncio.create_task(within(60, work()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await over.wait()

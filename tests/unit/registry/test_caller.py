"""Hook calls: each in its own task, within its time limit."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

import pluggy
import pytest
import structlog
from livekit.agents import Agent

from loqua_host import Ending, LessonReport, Progress, Tick, Tutor, hookimpl
from loqua_host.contract import hookspecs
from loqua_host.contract.hookspecs import PROJECT
from loqua_host.errors import HookFailedError, TutorError
from loqua_host.events import LearnerLeft
from loqua_host.registry.caller import HookCaller
from loqua_host.registry.loader import LoadedTutor
from loqua_host.settings.hooks import HookLimits

LESSON: Any = object()
TICK = Tick(number=1, seconds=30)
ENDING = Ending(reason="learner_left", seconds=60)
LIMITS = HookLimits(
    create_agent=0.02, on_user_ready=0.02, on_progress_tick=0.02, on_session_end=0.02
)


Timings = list[tuple[str, float, bool]]


@pytest.fixture(autouse=True)
def short_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Abandon cancelled hooks sooner than in a lesson."""
    monkeypatch.setattr("loqua_host.registry.caller.CANCEL_SECONDS", 0.02)


def caller_of(
    *,
    timings: Timings | None = None,
    speech: Callable[[], Any] = lambda: None,
    **hooks: Callable[..., Any],
) -> HookCaller:
    """Return a caller of a plugin that has these hooks, which notes what they take."""
    noted: Timings = [] if timings is None else timings

    def timed(hook: str, seconds: float, /, *, failed: bool) -> None:
        noted.append((hook, seconds, failed))

    plugin = type("Plugin", (), {name: staticmethod(hookimpl(f)) for name, f in hooks.items()})()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    tutor = LoadedTutor("fake", manager, Tutor(name="fake"))
    return HookCaller(tutor, LIMITS, timed=timed, speech=speech)


async def test_the_agent_of_the_tutor_is_given() -> None:
    """The caller gets create_agent's result for its lesson."""
    agent = Agent(instructions="teach")
    seen = []

    async def create_agent(lesson: object) -> Agent:
        seen.append(lesson)
        return agent

    assert await caller_of(create_agent=create_agent).create_agent(LESSON) is agent
    assert seen == [LESSON]


async def test_an_agent_that_livekit_cannot_call_fails_the_hook_at_once() -> None:
    """One that no module defines is not seen before: it would be deaf and silent."""

    class Deaf(Agent):
        """An agent that is deaf to voice."""

        __module__ = "tutor_without_a_module"

        async def on_user_turn_completed(self, turn_ctx: Any, said: Any) -> None:  # type: ignore[override]  # the mistake
            """Take the message by a name of its own."""

    async def create_agent() -> Agent:
        return Deaf(instructions="")

    with pytest.raises(HookFailedError, match=r"Deaf\.on_user_turn_completed .*'new_message'"):
        await caller_of(create_agent=create_agent).create_agent(LESSON)


async def test_a_hook_takes_only_the_arguments_it_names() -> None:
    """An implementation without arguments is called all the same."""

    async def on_progress_tick() -> Progress:
        return Progress(words_learned=3)

    caller = caller_of(on_progress_tick=on_progress_tick)
    assert await caller.on_progress_tick(LESSON, TICK) == Progress(words_learned=3)


async def test_a_hook_that_is_not_there_counts_as_returning_none() -> None:
    """Only create_agent is required."""
    caller = caller_of()
    await caller.on_user_ready(LESSON)
    assert await caller.on_progress_tick(LESSON, TICK) is None
    assert await caller.on_session_end(LESSON, ENDING) is None


async def test_a_tutor_without_agent_fails_the_hook() -> None:
    """None is no agent."""
    with pytest.raises(HookFailedError, match="create_agent: plugin 'fake' returned None"):
        await caller_of().create_agent(LESSON)


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), asyncio.CancelledError()])
async def test_what_a_hook_raises_is_its_failure(error: BaseException) -> None:
    """Even leaving the process, or cancelling itself, ends the hook and nothing else."""

    async def on_session_end() -> None:
        raise error

    with pytest.raises(HookFailedError) as failed:
        await caller_of(on_session_end=on_session_end).on_session_end(LESSON, ENDING)
    assert failed.value.hook == "on_session_end"
    assert isinstance(failed.value, TutorError)


@pytest.mark.parametrize(
    ("error", "setting"),
    [(MemoryError(), "limits.memory"), (PermissionError(13, "denied"), "sandbox:")],
    ids=["memory", "sandbox"],
)
async def test_what_a_limit_or_the_sandbox_denies_is_logged_with_the_setting(
    error: Exception, setting: str
) -> None:
    """The operator grants it there, or not."""

    async def on_user_ready() -> None:
        raise error

    with structlog.testing.capture_logs() as logs, pytest.raises(HookFailedError):
        await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)
    [line] = logs
    assert setting in line["hint"]


async def test_the_cause_of_a_failure_is_kept_for_the_author() -> None:
    """The hook's own exception is the cause, and its type and text are in the message."""
    error = KeyError("grammar\x1b[31m")

    async def on_user_ready() -> None:
        raise error

    with pytest.raises(HookFailedError, match="KeyError") as failed:
        await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)
    assert failed.value.__cause__ is error
    assert "\x1b" not in str(failed.value)


@pytest.mark.parametrize("returned", [{"words_learned": 1}, "progress", True, LessonReport()])
async def test_a_return_of_another_type_is_a_failure(returned: object) -> None:
    """Other types are not accepted as Progress."""

    async def on_progress_tick() -> object:
        return returned

    with pytest.raises(HookFailedError, match="not Progress"):
        await caller_of(on_progress_tick=on_progress_tick).on_progress_tick(LESSON, TICK)


async def test_a_hook_over_its_limit_is_cancelled_and_can_clean_up() -> None:
    """The hook sees its cancellation, and the failure names the limit."""
    cleaned = asyncio.Event()

    async def on_user_ready() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    with pytest.raises(HookFailedError, match=r"took longer than 0\.02 s"):
        await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)
    assert cleaned.is_set()


class HookSpeech:
    """A speech that a hook has started."""

    def __init__(self) -> None:
        self.said = asyncio.Event()

    async def wait_for_playout(self) -> None:
        """Wait until it was."""
        await self.said.wait()


@pytest.mark.parametrize(
    "hangs", [pytest.param(False, id="goes on"), pytest.param(True, id="hangs")]
)
async def test_what_is_being_said_is_not_counted_against_a_hook(hangs: bool) -> None:
    """It may await its greeting, for as long as the learner speaks; after that it has its limit."""
    saying: list[HookSpeech] = [HookSpeech()]

    async def on_user_ready() -> None:
        await saying[0].wait_for_playout()
        if hangs:
            await asyncio.Event().wait()

    caller = caller_of(on_user_ready=on_user_ready, speech=lambda: next(iter(saying), None))
    calling = asyncio.create_task(caller.on_user_ready(LESSON))
    await asyncio.sleep(0.1)
    assert not calling.done()
    saying.pop().said.set()
    if hangs:
        with pytest.raises(HookFailedError, match="took longer"):
            await calling
    else:
        await calling


async def test_a_hook_that_does_not_let_go_is_left_to_itself() -> None:
    """One that swallows its cancellation costs its limit and the time to be cancelled, no more."""
    release = asyncio.Event()
    ended = asyncio.Event()

    async def on_user_ready() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        raise ValueError("too late to matter")

    async with asyncio.timeout(30):
        with pytest.raises(HookFailedError, match="took longer"):
            await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)
        gc.collect()
        release.set()
        await ended.wait()


async def test_a_late_result_does_not_count() -> None:
    """A hook that answers its cancellation with a result is still over its limit."""

    async def on_progress_tick() -> Progress:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Progress()
        return Progress()

    with pytest.raises(HookFailedError, match="took longer"):
        await caller_of(on_progress_tick=on_progress_tick).on_progress_tick(LESSON, TICK)


async def test_cancelling_the_call_cancels_the_hook() -> None:
    """No hook goes on after the lesson stopped waiting for it."""
    running, cleaned = asyncio.Event(), asyncio.Event()

    async def on_user_ready() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    call = asyncio.create_task(caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON))
    await running.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert cleaned.is_set()


async def test_a_hook_runs_in_a_task_of_its_own() -> None:
    """Its task is named after plugin and hook, for whoever looks at a stuck process."""
    names = []

    async def on_user_ready() -> None:
        task = asyncio.current_task()
        names.append(task.get_name() if task else "")

    await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)
    assert names == ["fake.on_user_ready"]


async def test_what_a_greeting_returns_does_not_matter() -> None:
    """A tutor that returns its speech handle loses no lesson over it."""

    async def on_user_ready() -> object:
        return sys

    await caller_of(on_user_ready=on_user_ready).on_user_ready(LESSON)


async def test_a_handler_of_an_event_is_called_like_a_hook() -> None:
    """An exception fails the handler only; so does a handler without a parameter."""
    events = []

    async def hear(event: object) -> None:
        events.append(event)

    async def fail(event: object) -> None:
        raise ValueError(event)

    async def deaf() -> None:
        events.append("nothing")

    caller, event = caller_of(), LearnerLeft()
    await caller.call_handler(hear, event)
    for handler, why in ((fail, "raised ValueError"), (deaf, "raised TypeError")):
        with pytest.raises(HookFailedError, match=why):
            await caller.call_handler(handler, event)  # type: ignore[arg-type]  # the mistake to be seen
    assert events == [event]


async def test_each_call_is_timed_and_told_whether_it_failed() -> None:
    """One that raised or hung too; a hook that is not there is no call."""

    async def on_user_ready() -> None:
        await asyncio.sleep(0)

    async def on_progress_tick() -> None:
        raise ValueError("no")

    async def on_session_end() -> None:
        await asyncio.Event().wait()

    timings: Timings = []
    caller = caller_of(
        timings=timings,
        on_user_ready=on_user_ready,
        on_progress_tick=on_progress_tick,
        on_session_end=on_session_end,
    )
    await caller.on_user_ready(LESSON)
    with pytest.raises(HookFailedError):
        await caller.on_progress_tick(LESSON, TICK)
    with pytest.raises(HookFailedError):
        await caller.on_session_end(LESSON, ENDING)
    await caller_of(timings=timings).on_user_ready(LESSON)
    assert [(hook, failed) for hook, _, failed in timings] == [
        ("on_user_ready", False),
        ("on_progress_tick", True),
        ("on_session_end", True),
    ]
    assert 0 < timings[0][1] < timings[2][1]
    assert timings[2][1] >= 0.02

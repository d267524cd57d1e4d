"""The suite for every tutor: each test fails for a tutor that violates its rule."""

from collections.abc import Callable
from functools import partial

import pytest

from loqua_host.registry.loader import load_plugin
from loqua_host.testing import LessonFailedError, TutorSuite
from loqua_host.testing.cancellation import cancelled_lessons
from loqua_host.testing.virtual_lesson import run_script

Install = Callable[[str, str], None]

SOUND = """
import asyncio, contextlib, os
from livekit.agents import Agent, llm
from loqua_host import LessonReport, Progress, Tutor, hookimpl

class Listener(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson, self.heard = lesson, 0

    async def on_user_turn_completed(self, turn_ctx, new_message):
        self.heard += 1
        WHEN_HEARD

@hookimpl
def register_tutor():
    WHEN_REGISTERED
    return Tutor(name="NAME", secrets=("TUTOR_KEY",))

@hookimpl
async def create_agent(lesson):
    WHEN_CREATED
    return Listener(lesson)

@hookimpl
async def on_progress_tick(lesson):
    return Progress(phrases_practiced=COUNT)

@hookimpl
async def on_session_end(lesson):
    return LessonReport()
"""


@pytest.fixture
def suite(install: Callable[[str, str], None]) -> Callable[..., TutorSuite]:
    """Return what makes the suite of a tutor, with some of its lines replaced."""

    def make(name: str, **lines: str) -> TutorSuite:
        sound = {"WHEN_HEARD": "pass", "WHEN_REGISTERED": "pass", "WHEN_CREATED": "pass"}
        source = SOUND
        for mark, line in {**sound, "COUNT": "lesson.agent.heard", "NAME": name, **lines}.items():
            source = source.replace(mark, line)
        install(name, source)
        return type("Suite", (TutorSuite,), {"tutor": name})()

    return make


def test_a_tutor_with_effects_when_it_registers_is_found(suite: Callable[..., TutorSuite]) -> None:
    """They would happen in the inspection of a host that does not run it."""
    impure = suite("impure", WHEN_REGISTERED="os.putenv('A', '1')")
    with pytest.raises(AssertionError, match="move them to create_agent"):
        impure.test_it_registers_purely()


def test_progress_that_falls_is_found(suite: Callable[..., TutorSuite]) -> None:
    """The host refuses it, and so does the kit."""
    falling = suite("falling", COUNT="100 - lesson.agent.heard")
    with pytest.raises(LessonFailedError, match="progress"):
        falling.test_progress_never_falls()


def test_a_tutor_that_needs_the_context_is_found(suite: Callable[..., TutorSuite]) -> None:
    """The API may be down."""
    needy = suite("needy", WHEN_CREATED="assert lesson.mode == 'full'")
    needy.test_its_record_reaches_the_api()
    with pytest.raises(LessonFailedError, match=r"create_agent: .*AssertionError"):
        needy.test_a_lesson_without_the_api_is_taught()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("chatty", "self.lesson.log.info('heard', words=new_message.text_content)"),
        ("leaky", "self.lesson.log.info('key', key=self.lesson.secrets['TUTOR_KEY'])"),
        ("printing", "print(new_message.text_content)"),
    ],
    ids=["words", "secret", "print"],
)
def test_what_must_not_be_logged_is_found(
    suite: Callable[..., TutorSuite], capfd: pytest.CaptureFixture[str], name: str, line: str
) -> None:
    """In the fields of log lines, and on the terminal."""
    with pytest.raises(AssertionError, match="log names and counts"):
        suite(name, WHEN_HEARD=line).test_nothing_secret_is_logged(capfd)


def test_a_hook_that_blocks_is_found(
    suite: Callable[..., TutorSuite], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Virtual time does not pass meanwhile, and the learner's does."""
    monkeypatch.setattr("loqua_host.testing.suite.HookLimits", lambda: ShortLimits)
    blocking = suite("blocking", WHEN_CREATED="__import__('time').sleep(0.2)")
    with pytest.raises(AssertionError, match=r"create_agent took .* its limit is 0.1 s"):
        blocking.test_each_hook_keeps_its_limit()


THREE_AWAITS = "[await asyncio.sleep(0.01) for _ in range(3)]"


def test_a_hook_is_cancelled_at_each_of_its_awaits(suite: Callable[..., TutorSuite]) -> None:
    """And a sound one leaves one record each time."""
    waiting = suite("waiting", WHEN_CREATED=THREE_AWAITS)
    waiting.test_it_survives_cancellation_at_each_await()
    loaded, script = load_plugin(plugin="waiting"), waiting.script()
    lessons = list(cancelled_lessons(loaded, partial(run_script, script)))
    assert [(one.hook, one.number) for one in lessons] == [("create_agent", it) for it in (1, 2, 3)]
    assert {one.result.reason for one in lessons} == {"create_agent_failed"}


def test_a_hook_that_goes_on_after_its_cancellation_is_found(
    suite: Callable[..., TutorSuite],
) -> None:
    """The host would abandon it, and it would run on."""
    stubborn = (
        "for _ in range(3):\n"
        "        with contextlib.suppress(asyncio.CancelledError): await asyncio.sleep(60)"
    )
    with pytest.raises(AssertionError, match="create_agent, cancelled at its await 1, goes on"):
        suite("stubborn", WHEN_CREATED=stubborn).test_it_survives_cancellation_at_each_await()


class ShortLimits:
    """Shorter limits than a host's."""

    create_agent = on_user_ready = on_progress_tick = on_session_end = 0.1


def test_a_plugin_that_does_not_load_alone_is_found() -> None:
    """With the child's traceback."""
    missing = type("Suite", (TutorSuite,), {"tutor": "not-installed"})()
    with pytest.raises(AssertionError, match="no installed distribution offers it"):
        missing.test_it_loads_alone()

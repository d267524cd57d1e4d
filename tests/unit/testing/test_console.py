"""A lesson in the terminal, line by line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from loqua_host.registry.loader import load_plugin
from loqua_host.testing import LessonScript
from loqua_host.testing.console import Console
from loqua_host.testing.player import LessonPlayer
from loqua_host.testing.tutor_source import TutorSource
from loqua_host.testing.virtual_time import VirtualLoop

ECHO = "tests.unit.testing.lesson_tutors:Echo"

Talk = Callable[..., list[str]]


@pytest.fixture
def talk() -> Talk:
    """Return what types lines, and returns the lines that are shown."""

    def talked(*lines: str) -> list[str]:
        shown: list[str] = []
        left = list(lines)

        async def read() -> str | None:
            if not left:
                await asyncio.sleep(10)
                return None
            return left.pop(0)

        async def teach() -> None:
            script = LessonScript(agent=ECHO, reconnect_timeout=0.0)
            loaded = load_plugin(agent=ECHO)
            player = LessonPlayer(script, loaded)
            with capture_logs() as log:
                source = TutorSource(script, loaded)
                await Console(player, log, source, read, shown.append).run()

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(teach())
        return shown

    return talked


def test_what_is_typed_is_said_and_the_answer_is_shown(talk: Talk) -> None:
    """With each hook, its time, and at the end report and record."""
    shown = talk("Uno.\n", "/quit\n")
    assert [line for line in shown if line.startswith("tutor")] == [
        "tutor: ¡Hola!",
        "tutor: Has dicho: Uno.",
    ]
    assert any(line.startswith("· create_agent: ") for line in shown)
    assert "the lesson has ended: learner_left" in shown
    assert shown[-1].startswith('record: {\n  "session_id"')


def test_a_command_is_a_step_of_a_script(talk: Talk) -> None:
    """Also those that take an argument."""
    shown = talk("/silence 31", "/kill_job", "/types hola", "/api 503 for 20 s")
    assert "tutor: ¡Otra vez!" in shown
    assert "tutor: Has dicho: hola" in shown
    assert any(line.startswith("· progress: ") for line in shown)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/leavs", "! 'leavs' is no step; write leaves"),
        ("/api down", "! 'down' is no failure of the API; write `503 for 20 s`"),
        ("/tutor_says Adiós.", "! the tutor did not say 'Adiós.', but ['¡Hola!']"),
    ],
    ids=["misspelt", "argument", "expectation"],
)
def test_a_mistake_is_one_line_and_the_lesson_goes_on(talk: Talk, line: str, message: str) -> None:
    """It says what to write."""
    shown = talk(line, "Uno.")
    assert message in shown
    assert "tutor: Has dicho: Uno." in shown


def test_a_failure_of_the_tutor_is_shown_when_it_happens(talk: Talk) -> None:
    """With its place."""
    shown = talk("Error.", "Uno.")
    (failure,) = [line for line in shown if line.startswith("! ")]
    assert "on_user_turn_completed: raised ValueError" in failure
    assert shown.index(failure) < shown.index("tutor: Has dicho: Uno.")


def test_the_state_is_shown_on_demand(talk: Talk) -> None:
    """Settings, state, mode and progress."""
    (state,) = [line for line in talk("/state") if line.startswith("{")]
    for name in ("settings", "state", "mode", "progress"):
        assert f'"{name}": ' in state


def test_a_tutor_that_ends_the_lesson_ends_the_console(talk: Talk) -> None:
    """No further input is needed."""
    shown = talk("Adiós.")
    assert "the lesson has ended: said_goodbye" in shown


def test_help_names_each_command(talk: Talk) -> None:
    """Again, if it has scrolled away."""
    assert any("/kill_job" in line for line in talk("/help"))


AGENT = """
from livekit.agents import Agent

class Mine(Agent):
    def __init__(self):
        super().__init__(instructions="", llm=None)

    async def on_enter(self):
        self.session.say("{greeting}")
"""


def test_a_saved_file_is_taught_from_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lesson is resumed; a file with a mistake changes nothing."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file, shown = tmp_path / "saved_agent.py", []
    file.write_text(AGENT.format(greeting="Uno."), "utf-8")
    versions = [AGENT.format(greeting="Dos, por fin."), "class Mine(: nothing", None]

    async def read() -> str | None:
        await asyncio.sleep(20)
        if (version := versions.pop(0)) is None:
            return None
        file.write_text(version, "utf-8")
        return ""

    async def teach() -> None:
        script = LessonScript(agent="saved_agent:Mine", reconnect_timeout=0.0)
        loaded = load_plugin(agent=script.agent)
        with capture_logs() as log:
            source = TutorSource(script, loaded)
            await Console(LessonPlayer(script, loaded), log, source, read, shown.append).run()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(teach())
    message = [line for line in shown if line.startswith(("tutor", "! ", "· reloaded"))]
    assert message[:3] == ["tutor: Uno.", "· reloaded", "tutor: Dos, por fin."]
    assert message[3].startswith("! not reloaded: SyntaxError: ")
    assert shown.count("the lesson has ended: learner_left") == 1

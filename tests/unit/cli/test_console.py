"""`loqua-host console`: a lesson in the terminal, or one line with the reason why not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loqua_host.cli import app


def console(*arguments: str, typed: str = "") -> tuple[int, str]:
    """Run the command; its exit code, and what it printed."""
    result = CliRunner().invoke(app, ["console", *arguments], input=typed)
    return result.exit_code, result.output


def test_a_lesson_is_taught_in_the_terminal(tmp_path: Path) -> None:
    """In real time, with the tutor's settings."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("questions: 1\n")
    arguments = ("grammar", "--language", "es", "--settings", str(settings))
    status, shown = console(*arguments, typed="Yo soy estudiante.\n")
    assert status == 0
    assert "/kill_job" in shown
    assert "tutor: ¡Hola!" in shown
    assert "the lesson has ended: questions_done" in shown


def test_a_language_model_can_be_given() -> None:
    """It is given by its class, like in a configuration."""
    status, shown = console(
        "tests.unit.testing.lesson_tutors:Chatter",
        "--llm",
        "tests.unit.testing.lesson_tutors:OneReplyLLM",
        typed="Hola.\n",
    )
    assert status == 0
    assert "tutor: Habla el modelo." in shown


REFUSED = {
    "tutor": (("absent",), "plugin 'absent': no installed distribution offers it"),
    "model": (("grammar", "--llm", "no.such:Model"), "--llm no.such:Model: ModuleNotFoundError"),
    "no file": (("grammar", "--settings", "none.yaml"), "--settings none.yaml: "),
}


@pytest.mark.parametrize(("arguments", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_one_line(arguments: tuple[str, ...], problem: str) -> None:
    """Not a traceback."""
    status, shown = console(*arguments)
    assert status == 1
    assert problem in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [("questions: many", "the settings do not fit the tutor: "), ("3", "write a mapping")],
    ids=["value", "no mapping"],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, text: str, problem: str) -> None:
    """Before the lesson begins."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(text)
    status, shown = console("grammar", "--settings", str(settings))
    assert status == 1
    assert problem in shown

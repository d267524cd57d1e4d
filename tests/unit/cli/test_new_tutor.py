"""`loqua-host new-tutor`: a new distribution, or one line with the reason why not."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from loqua_host.cli import app
from loqua_host.cli.new_tutor import TEMPLATE
from loqua_host.testing import read_script


def new_tutor(*arguments: str | Path) -> tuple[int, str]:
    """Run the command; its exit code, and what it printed."""
    result = CliRunner().invoke(app, ["new-tutor", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture(params=["x", "word-games", "a-name-as-long-as-the-command-allows-one"])
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return the directory of a new tutor."""
    status, printed = new_tutor(request.param, tmp_path)
    directory = tmp_path / f"loqua-tutor-{request.param}"
    assert (status, printed.splitlines()[0]) == (0, f"wrote {directory}")
    return directory


def test_every_file_of_the_template_is_written_under_the_new_name(written: Path) -> None:
    """No file contains `sample`."""
    files = [path for path in written.rglob("*") if path.is_file()]
    template = [path for path in TEMPLATE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) == len(template)
    for path in files:
        assert "sample" not in f"{path.relative_to(written)} {path.read_text('utf-8').lower()}"


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)], ids=["format", "lint"])
def test_ruff_has_nothing_to_say_of_it(written: Path, command: tuple[str, ...]) -> None:
    """By the rules that it brings, whatever the length of its name."""
    ruff = (sys.executable, "-m", "ruff", *command, "--no-cache")
    done = subprocess.run(ruff, cwd=written, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout


def test_its_lesson_and_its_workflow_are_sound_yaml(written: Path) -> None:
    """The lesson is a script; pytest runs it in the acceptance test."""
    assert read_script(written / "tests/outage.lesson.yaml").tutor in written.name
    assert "jobs" in yaml.safe_load((written / ".github/workflows/test.yml").read_text("utf-8"))


REFUSED = {
    "upper case": ("Games", "'Games' is no tutor's name; write lower-case words joined by hyphens"),
    "path": ("../games", "is no tutor's name"),
    "line end": ("games\n", "is no tutor's name"),
    "empty": ("", "is no tutor's name"),
    "long": ("a" * 41, "at most 40 characters"),
    "installed": ("grammar", "a tutor named 'grammar' exists already; choose another name"),
    "template's": ("sample", "a tutor named 'sample' exists already"),
}


@pytest.mark.parametrize(("name", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    """Before anything is written."""
    status, printed = new_tutor(name, tmp_path)
    assert (status, printed.count("\n")) == (1, 1)
    assert problem in printed
    assert not any(tmp_path.iterdir())


def test_a_directory_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    """An author's work may be in it."""
    mine = tmp_path / "loqua-tutor-word-games"
    mine.mkdir()
    status, printed = new_tutor("word-games", tmp_path)
    assert status == 1
    assert printed == f"{mine}: exists; choose another name or directory, or delete it\n"
    assert not any(mine.iterdir())


def test_a_place_that_takes_no_directory_is_one_line(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").touch()
    status, printed = new_tutor("word-games", tmp_path / "file")
    assert (status, printed.count("\n")) == (1, 1)
    assert "Not a directory; name another directory" in printed

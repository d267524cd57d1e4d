"""The kit's examples in the README for authors, run as shown."""

import re
from pathlib import Path
from typing import Any

import pytest

from loqua_host.testing import TutorSuite, play_lesson, read_script
from loqua_host.testing.steps import STEPS

README = (Path(__file__).parents[3] / "host/README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of the section on the kit."""
    section = README.partition("## Testing a tutor")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_lesson_in_python_passes() -> None:
    """It is copied from the document."""
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)  # noqa: S102  # our own README
    names["test_a_lesson_goes_on_after_a_crash"]()


def test_the_lesson_in_yaml_passes(tmp_path: Path) -> None:
    """Its expectations too."""
    path = tmp_path / "readme.lesson.yaml"
    path.write_text(blocks("yaml")[0], "utf-8")
    play_lesson(read_script(path))


def test_the_suite_is_one() -> None:
    """Its tests are the kit's, which other tests run."""
    names: dict[str, Any] = {}
    exec(blocks("python")[1], names)  # noqa: S102  # our own README
    assert issubclass(names["TestGrammar"], TutorSuite)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_documented(step: str) -> None:
    """With its name in YAML and in Python."""
    (row,) = (line for line in README.splitlines() if re.match(rf"\| .*`{step}[:`]", line))
    assert f"`{STEPS[step].__name__}`" in row

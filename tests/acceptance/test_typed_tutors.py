"""mypy's strictest findings on tutors, with the configuration that authors start with.

All in one file, for one process and one configuration: LiveKit's types alone take half a minute,
and what mypy keeps of them is for the same options only.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.cli.new_tutor import TEMPLATE, write_tutor

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
Mypy = Callable[..., str]

THIRD_PARTY = ROOT / "tests/acceptance/third_party_tutor/src/loqua_probe"

PLAIN = """\
from livekit.agents import Agent
from loqua_host import Lesson, Progress, Tutor, hookimpl

@hookimpl
def register_tutor() -> Tutor:
    return Tutor(name="plain")

@hookimpl
async def create_agent(lesson: Lesson) -> Agent:
    return Agent(instructions=f"Teach {lesson.language}.")

@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress | None:
    return lesson.progress
"""

MISTAKEN = """\
from livekit.agents import Agent
from loqua_host import Lesson, Tutor
from pydantic import BaseModel

class Mine(BaseModel):
    level: int = 1

class Others(BaseModel): ...

class Shadow(Agent):
    pace: int = 1

def misspells(lesson: Lesson[Mine]) -> int:
    return lesson.settings.levle  # E: has no attribute "levle"

def mistakes(lesson: Lesson[Mine]) -> str:
    return lesson.settings.level  # E: got "int", expected "str"

def declares() -> Tutor[Mine]:
    return Tutor(name="mine", settings=Others)  # E: expected "type[Mine]"

def hands_on(lesson: Lesson[Others]) -> int:
    return misspells(lesson)  # E: expected "Lesson[Mine]"

def forgets(lesson: Lesson) -> int:
    return lesson.settings.level  # E: "BaseModel" has no attribute "level"

def asks(lesson: Lesson) -> str:
    return lesson.get_agent(Shadow).pace  # E: got "int", expected "str"
"""


@pytest.fixture(scope="module")
def mypy(request: pytest.FixtureRequest) -> Mypy:
    """Return mypy, which keeps what it finds of LiveKit."""
    assert request.config.cache is not None
    cache = str(request.config.cache.mkdir("mypy"))

    def run(*arguments: str, cwd: Path) -> str:
        command = (sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", cache)
        done = subprocess.run(  # noqa: S603  # with arguments of its own
            (*command, *arguments), cwd=cwd, capture_output=True, text=True, check=False
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def mypy_output(tmp_path_factory: pytest.TempPathFactory, mypy: Mypy) -> str:
    """Return what mypy says of four tutors: README's, a third party's, a plain and a wrong one."""
    directory = tmp_path_factory.mktemp("tutors")
    (shadowing,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for name, source in {"shadowing": shadowing, "plain": PLAIN, "mistaken": MISTAKEN}.items():
        (directory / f"{name}.py").write_text(source, "utf-8")
    files = ("shadowing.py", "plain.py", "mistaken.py", str(THIRD_PARTY))
    return mypy("--config-file", str(TEMPLATE / "pyproject.toml"), *files, cwd=directory)


def test_a_new_tutor_is_one_that_mypy_has_nothing_to_say_of(mypy: Mypy, tmp_path: Path) -> None:
    """With its tests."""
    assert mypy(cwd=write_tutor("word-games", tmp_path)) == ""


def test_the_example_is_one_that_mypy_has_nothing_to_say_of(mypy: Mypy, tmp_path: Path) -> None:
    """With its tests."""
    example = shutil.copytree(ROOT / "host/examples/vocabulary-tutor", tmp_path / "vocabulary")
    assert mypy(cwd=example) == ""


@pytest.mark.parametrize("tutor", ["shadowing.py", "plain.py", "loqua_probe"])
def test_a_tutor_without_a_cast_is_one_that_mypy_has_nothing_to_say_of(
    mypy_output: str, tutor: str
) -> None:
    """README's with settings, one without any, and a third party's."""
    assert [line for line in mypy_output.splitlines() if tutor in line] == []


def test_the_tutors_shown_have_no_cast() -> None:
    """A cast is a claim that nobody checks."""
    sources = [ROOT / "README.md", *ROOT.glob("plugins/*/src/**/*.py"), *THIRD_PARTY.glob("*.py")]
    assert [str(it) for it in sources if re.search(r"\bcast\(", it.read_text("utf-8"))] == []


def test_mypy_sees_an_authors_mistake_with_settings_and_agent(mypy_output: str) -> None:
    """Each at its line, and nothing else."""
    lines = enumerate(MISTAKEN.splitlines(), 1)
    expected = {number: it.split("# E: ")[1] for number, it in lines if "# E: " in it}
    found = dict(re.findall(r"^mistaken\.py:(\d+): error: (.*)$", mypy_output, re.MULTILINE))
    assert list(map(int, found)) == list(expected)
    assert all(it in said for said, it in zip(found.values(), expected.values(), strict=True))

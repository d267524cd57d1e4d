"""A new tutor in the environment of its author: wheels, and nothing of this repository."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
NAME = "word-games"


def run(*command: str, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  # the test's own
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tutor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new tutor, whose wheel is installed in an environment beside it."""
    directory = tmp_path_factory.mktemp("author")
    wheels, python = directory / "wheels", directory / "venv/bin/python"
    build = ("uv", "build", "--quiet", "--wheel", "-o", str(wheels))
    run(*build, "--package", "loqua-host", cwd=ROOT)
    run("uv", "venv", "--quiet", "--python", sys.executable, str(directory / "venv"), cwd=directory)
    # Refreshed, or uv may take wheels that it once saw in a directory of the same name.
    install = ("uv", "pip", "install", "--quiet", "--refresh", "--python", str(python))
    run(*install, "--find-links", str(wheels), "loqua-host", "pytest", cwd=directory)
    run(str(python.with_name("loqua-host")), "new-tutor", NAME, cwd=directory)
    tutor = directory / f"loqua-tutor-{NAME}"
    run(*build, cwd=tutor)
    run(*install, "--find-links", str(wheels), tutor.name, cwd=directory)
    return tutor


def test_its_own_tests_pass_at_once(tutor: Path) -> None:
    """The suite of every tutor, its own lessons, and the one in YAML."""
    shown = run(str(tutor.parent / "venv/bin/python"), "-m", "pytest", "-q", cwd=tutor)
    assert "12 passed" in shown


def test_mypy_has_nothing_to_say_of_it(tutor: Path, request: pytest.FixtureRequest) -> None:
    """As strict as it can be."""
    assert request.config.cache is not None
    cache = str(request.config.cache.mkdir("mypy"))  # LiveKit's types alone take half a minute
    run(sys.executable, "-m", "mypy", "--cache-dir", cache, cwd=tutor)


def test_the_host_finds_it(tutor: Path) -> None:
    """With the settings that its README shows."""
    loads = (
        "from loqua_host.registry.loader import load_plugin; print(load_plugin(plugin=%r).tutor)"
    )
    shown = run(str(tutor.parent / "venv/bin/python"), "-c", loads % NAME, cwd=tutor.parent)
    assert f"agent_name='{NAME}-specialist'" in shown

"""New tutors and the demo in an author's environment: installed wheels only."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
NAME = "word-games"
EXAMPLE = "vocabulary"
TUTORS = {NAME: 12, EXAMPLE: 23}
"""The tutors, and how many tests each has."""

USES = """
from importlib.metadata import entry_points
import loqua_host.dev.demo, loqua_host.dev.devapi, loqua_host.records.ledger, loqua_speech.app
from loqua_host.records import migrations
assert migrations.load_migrations("sqlite") and migrations.load_migrations("postgres")
print(*(point.name for point in entry_points(group="loqua_host")))
"""


def run(*command: str, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  # the test's own
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def newest_python() -> str:
    """Return the newest declared Python that this machine has; all else runs on the oldest."""
    project = tomllib.loads((ROOT / "host/pyproject.toml").read_text("utf-8"))["project"]
    named = (one.rpartition(" ")[2] for one in project["classifiers"] if "Python :: 3" in one)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    bins = map(str, pyenv.glob("versions/3.*/bin"))  # which uv does not look into
    path = os.pathsep.join([*bins, os.environ["PATH"]])
    for version in sorted(named, key=lambda one: int(one.partition(".")[2]), reverse=True):
        find = ("uv", "python", "find", "--no-python-downloads", version)
        found = subprocess.run(  # noqa: S603  # the test's own
            find, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return sys.executable


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a new tutor and the example, installed in an environment there."""
    directory = tmp_path_factory.mktemp("author")
    wheels, python = directory / "wheels", directory / "venv/bin/python"
    build = ("uv", "build", "--quiet", "--wheel", "-o", str(wheels))
    run(*build, "--all-packages", cwd=ROOT)
    run(
        "uv", "venv", "--quiet", "--python", newest_python(), str(directory / "venv"), cwd=directory
    )
    install(directory, "loqua-host[testing]")
    run(str(python.with_name("loqua-host")), "new-tutor", NAME, cwd=directory)
    shutil.copytree(ROOT / f"host/examples/{EXAMPLE}-tutor", directory / f"loqua-tutor-{EXAMPLE}")
    for name in TUTORS:
        run(*build, cwd=directory / f"loqua-tutor-{name}")
    install(directory, *(f"loqua-tutor-{name}" for name in TUTORS))
    return directory


def install(author: Path, *names: str) -> None:
    """Install distributions from the author's wheels, and others."""
    # Refreshed, or uv may take wheels that it once saw in a directory of the same name.
    command = (
        "uv",
        "pip",
        "install",
        "--quiet",
        "--refresh",
        "--find-links",
        str(author / "wheels"),
    )
    run(*command, "--python", str(author / "venv/bin/python"), *names, cwd=author)


@pytest.mark.parametrize("name", TUTORS, ids=TUTORS)
def test_its_own_tests_pass_at_once(author: Path, name: str) -> None:
    """The suite of every tutor, its own lessons, and the one in YAML."""
    command = (str(author / "venv/bin/python"), "-m", "pytest", "-q")
    shown = run(*command, cwd=author / f"loqua-tutor-{name}")
    assert f"{TUTORS[name]} passed" in shown


def test_the_host_finds_each(author: Path) -> None:
    """By its name, with the agent name that its README shows."""
    loads = "from loqua_host.registry.loader import load_plugin"
    shows = f"for name in {list(TUTORS)}: print(load_plugin(plugin=name).tutor.agent_name)"
    shown = run(str(author / "venv/bin/python"), "-c", f"{loads}\n{shows}", cwd=author)
    assert shown.split() == [f"{name}-specialist" for name in TUTORS]


def test_the_extra_dev_alone_is_enough_for_the_demo(author: Path, tmp_path: Path) -> None:
    """From wheels, after what authors need: speech, tutors, config/, SQL and their imports."""
    install(author, "loqua-host[dev]")
    found = run(str(author / "venv/bin/python"), "-c", USES, cwd=tmp_path).split()
    assert {*found} == {*TUTORS, "conversation", "grammar", "pronunciation"}
    run(str(author / "venv/bin/loqua-host"), "init", cwd=tmp_path)
    made, ours = tmp_path / "config", ROOT / "config"
    names = {path.relative_to(ours) for path in ours.rglob("*")}
    assert {path.relative_to(made) for path in made.rglob("*")} == names

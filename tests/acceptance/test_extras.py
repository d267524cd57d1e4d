"""What is for development only need not be installed, and is installed by its extra alone."""

import asyncio
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

WITHOUT_FASTAPI = """
import sys
from loqua_host.__main__ import main
sys.modules["fastapi"] = None
main()
"""


@pytest.mark.parametrize("command", ["demo", "devapi"])
async def test_a_command_whose_extra_is_missing_says_what_to_install(command: str) -> None:
    """One line instead of a traceback, and a failing exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_FASTAPI, command, stderr=PIPE
    )
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert complaint == b"this command needs fastapi: install loqua-host[dev]\n"


ROOT = Path(__file__).parents[2]
USES = """
from importlib.metadata import entry_points
import loqua_host.dev.demo, loqua_host.dev.devapi, loqua_host.records.ledger, loqua_speech.app
from loqua_host.records import migrations
assert migrations.load_migrations("sqlite") and migrations.load_migrations("postgres")
print(*sorted(point.name for point in entry_points(group="loqua_host")))
"""


def run(*command: str, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  # the test's own
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_extra_dev_alone_is_enough_for_the_demo(tmp_path: Path) -> None:
    """From wheels, in an environment of its own: speech, tutors, config/, SQL and their imports."""
    wheels, python = tmp_path / "wheels", tmp_path / "venv/bin/python"
    run("uv", "build", "--quiet", "--all-packages", "--wheel", "-o", str(wheels), cwd=ROOT)
    run("uv", "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"), cwd=tmp_path)
    # Refreshed, or uv may take wheels that it once saw in a directory of the same name.
    install = ("uv", "pip", "install", "--quiet", "--refresh", "--python", str(python))
    run(*install, "--find-links", str(wheels), "loqua-host[dev]", cwd=tmp_path)
    assert run(str(python), "-c", USES, cwd=tmp_path).split() == [
        "conversation",
        "grammar",
        "pronunciation",
    ]
    run(str(python.with_name("loqua-host")), "init", cwd=tmp_path)
    made, ours = tmp_path / "config", ROOT / "config"
    names = {path.relative_to(ours) for path in ours.rglob("*")}
    assert {path.relative_to(made) for path in made.rglob("*")} == names

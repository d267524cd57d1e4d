"""`loqua-host demo`: three lessons with the expected records, and nothing left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.acceptance.demo import running

from loqua_host.dev.livekit_binary import cache_directory
from loqua_host.dev.scripts import LESSONS, mismatches

pytestmark = [
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("server_program"),
]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FROM_WHERE = re.compile(r"proxy$|_CERT|_CA_|INDEX|FIND_LINKS|TIMEOUT", re.IGNORECASE)
LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT[\d:.]+Z\] \[[A-Z]+\] (\[[^\]]*\] ){3}\S")


def run(
    *command: str, cwd: Path, given: bytes | None = None, environ: dict[str, str] | None = None
) -> bytes:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(  # noqa: S603  # the test's own
        command, cwd=cwd, env=environ, input=given, check=False, capture_output=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project as it would be committed; the first command makes its environment."""
    clone = tmp_path_factory.mktemp("clone")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    archive = run("tar", "--create", "--null", "--files-from=-", cwd=ROOT, given=names)
    run("tar", "--extract", cwd=clone, given=archive)
    return clone


@pytest.fixture(scope="module")
def fresh_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of someone who has only just come to a machine.

    Nobody has installed a Python, set a variable of Python's tools or switched anything on; where
    packages come from stays, and so do the caches, which hold what a first run would bring.
    """
    if subprocess.call(("sh", "-c", "/usr/bin/python3 -c 'import ensurepip'")):  # noqa: S607  # likewise
        pytest.skip("this machine has no Python of its own with venv: apt install python3-venv")
    caches = {
        "UV_CACHE_DIR": run("uv", "cache", "dir", cwd=ROOT).decode().strip(),
        "XDG_CACHE_HOME": str(cache_directory(os.environ).parent),
    }
    kept = {name: value for name, value in os.environ.items() if FROM_WHERE.search(name)}
    home = str(tmp_path_factory.mktemp("home"))
    return {**kept, **caches, "HOME": home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def readme_command(ending: str) -> str:
    """Return the command of README.md that ends so."""
    (command,) = re.findall(rf"^.+ {ending}$", README, re.MULTILINE)
    return str(command)


async def test_three_lessons_leave_their_records_and_nothing_else(
    fresh_machine: dict[str, str], orphans: list[psutil.Process]
) -> None:
    """With the variables of a fresh machine: all that was said arrives.

    `--once` prints what the API received, exits with 0, and every log line has its form.
    """
    command = (sys.executable, "-m", "loqua_host", "demo", "--once")
    async with running(*command, cwd=ROOT, environ=fresh_machine, orphans=orphans) as process:
        printed, shown = await process.communicate()
    assert process.returncode == 0, shown.decode()[-3000:]
    records = json.loads(printed)
    assert [fault for lesson in LESSONS for fault in mismatches(lesson, records)] == []
    logged = [line for line in shown.decode().splitlines() if line.startswith("[")]
    assert logged
    assert [line for line in logged if not LOG_LINE.match(line)] == []


@pytest.mark.parametrize(
    ("command", "more", "shown"),
    [
        pytest.param("run loqua-host demo", "--help", b"--once", id="demo"),
        pytest.param(
            "run pytest",
            "--collect-only --quiet tests/acceptance/test_demo.py",
            b"test_demo.py",
            id="tests",
        ),
    ],
)
def test_the_commands_of_the_readme_start_on_a_fresh_machine(
    clone: Path, fresh_machine: dict[str, str], command: str, more: str, shown: bytes
) -> None:
    """With its own Python, from a fresh clone; what they do then is for other tests."""
    assert shown in run(
        "sh", "-c", f"{readme_command(command)} {more}", cwd=clone, environ=fresh_machine
    )

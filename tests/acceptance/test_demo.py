"""`loqua-host demo`: three lessons that end in the records their scripts say, and no trace."""

import asyncio
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from loqua_host.dev.livekit_binary import cache_directory, livekit_binary
from loqua_host.dev.scripts import LESSONS, mismatches

pytestmark = pytest.mark.timeout(300, func_only=True)

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FROM_WHERE = re.compile(r"proxy$|_CERT|_CA_|INDEX|FIND_LINKS|TIMEOUT", re.IGNORECASE)
PR_SET_CHILD_SUBREAPER = 36
LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT[\d:.]+Z\] \[[A-Z]+\] (\[[^\]]*\] ){3}\S")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def server_program() -> None:
    """Build the server's program before the clock of a test runs."""
    if "LIVEKIT_URL" not in os.environ:
        await livekit_binary(print)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let SIGINT through to children: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def orphans() -> Iterator[list[psutil.Process]]:
    """Adopt what outlives the demo, and give a list that it is to be found in."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    found: list[psutil.Process] = []
    yield found
    for orphan in found:
        orphan.kill()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def files(directory: str) -> list[Path]:
    """Return what is in a directory, but for the locks that uv leaves there."""
    return [path for path in Path(directory).iterdir() if not path.match("uv-*.lock")]


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


@asynccontextmanager
async def demo(*options: str, orphans: list[psutil.Process]) -> AsyncIterator[Process]:
    """Run the demo of this environment, as `running` does."""
    command = (sys.executable, "-m", "loqua_host", "demo", *options)
    async with running(*command, cwd=ROOT, environ=dict(os.environ), orphans=orphans) as process:
        yield process


@asynccontextmanager
async def running(
    *command: str, cwd: Path, environ: dict[str, str], orphans: list[psutil.Process]
) -> AsyncIterator[Process]:
    """Run the demo to its end; then nothing of it may be left, neither process nor file.

    A port or socket lives as long as a process that holds it, so these go with the processes.
    """
    mine = set(psutil.Process().children(recursive=True))
    # Short, for the path of a Unix socket has 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        environ = {name: value for name, value in environ.items() if name != "XDG_RUNTIME_DIR"}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=environ | {"TMPDIR": directory},
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        try:
            yield process
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            left = set(psutil.Process().children(recursive=True)) - mine
            # What ends when its pipe closes, as multiprocessing's forkserver, ends just after.
            orphans += psutil.wait_procs(left, timeout=20)[1]
        assert [orphan.cmdline() for orphan in orphans] == []
        assert files(directory) == []


async def test_three_lessons_leave_their_records_and_nothing_else(
    clone: Path, fresh_machine: dict[str, str], orphans: list[psutil.Process]
) -> None:
    """On a fresh machine with its own Python, by the README's command: all that was said arrives.

    `--once` prints what the API received, exits with 0, and every log line has its form.
    """
    command = ("sh", "-c", f"{readme_command('run loqua-host demo')} --once")
    async with running(*command, cwd=clone, environ=fresh_machine, orphans=orphans) as process:
        printed, shown = await process.communicate()
    assert process.returncode == 0, shown.decode()[-3000:]
    records = json.loads(printed)
    assert [fault for lesson in LESSONS for fault in mismatches(lesson, records)] == []
    logged = [line for line in shown.decode().splitlines() if line.startswith("[")]
    assert logged
    assert [line for line in logged if not LOG_LINE.match(line)] == []


def test_a_fresh_machine_runs_the_tests(clone: Path, fresh_machine: dict[str, str]) -> None:
    """By the README's command; that it finds them is enough, as this is one of them."""
    command = f"{readme_command('run pytest')} --collect-only --quiet tests/acceptance"
    found = run("sh", "-c", command, cwd=clone, environ=fresh_machine)
    assert b"test_demo.py" in found


@pytest.mark.parametrize("moment", ["loading the speech models", "  learner: "])
async def test_ctrl_c_leaves_nothing_behind(moment: str, orphans: list[psutil.Process]) -> None:
    """Whenever it comes, at the start or within a lesson, it ends all that was started."""
    async with demo(orphans=orphans) as process:
        assert process.stdout
        while moment not in (line := (await process.stdout.readline()).decode()):
            assert line, "the demo ended early"
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()
    assert process.returncode == 130

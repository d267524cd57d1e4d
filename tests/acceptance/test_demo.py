"""`loqua-host demo`: three lessons that end in the records their scripts say, and no trace."""

import asyncio
import ctypes
import json
import os
import re
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from loqua_host.dev.livekit_binary import livekit_binary
from loqua_host.dev.scripts import LESSONS, mismatches

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300, func_only=True)]

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT[\d:.]+Z\] \[[A-Z]+\] (\[[^\]]*\] ){3}\S")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def server_program() -> None:
    """Have the server's program built before the clock of a test runs."""
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
    """Give what is in a directory."""
    return list(Path(directory).iterdir())


@asynccontextmanager
async def demo(*options: str, orphans: list[psutil.Process]) -> AsyncIterator[Process]:
    """Run the demo to its end; then nothing of it may be left, neither process nor file.

    A port or socket lives as long as a process that holds it, so these go with the processes.
    """
    mine = set(psutil.Process().children(recursive=True))
    # Short, for the path of a Unix socket has 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        environ = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loqua_host", "demo", *options),
            cwd=ROOT,
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
    orphans: list[psutil.Process],
) -> None:
    """`--once` prints what the API received, exits with 0, and every log line has its form."""
    async with demo("--once", orphans=orphans) as process:
        printed, shown = await process.communicate()
    assert process.returncode == 0, shown.decode()[-3000:]
    records = json.loads(printed)
    assert [fault for lesson in LESSONS for fault in mismatches(lesson, records)] == []
    logged = [line for line in shown.decode().splitlines() if line.startswith("[")]
    assert logged
    assert [line for line in logged if not LOG_LINE.match(line)] == []


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

"""Commands as users run them on a fresh machine, and the demo, of which nothing may be left."""

import asyncio
import os
import re
import subprocess
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from loqua_host.dev.livekit_binary import cache_directory

ROOT = Path(__file__).parents[2]
FROM_WHERE = re.compile(r"proxy$|_CERT|_CA_|INDEX|FIND_LINKS|TIMEOUT", re.IGNORECASE)


def run(
    *command: str, cwd: Path, given: bytes | None = None, environ: dict[str, str] | None = None
) -> bytes:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(  # noqa: S603  # the test's own
        command, cwd=cwd, env=environ, input=given, check=False, capture_output=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-3000:]
    return done.stdout


def fresh_environ(home: Path) -> dict[str, str]:
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
    return {**kept, **caches, "HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@asynccontextmanager
async def running(
    *command: str, cwd: Path, environ: dict[str, str], orphans: list[psutil.Process]
) -> AsyncIterator[Process]:
    """Run the demo to its end; then nothing of it may be left, neither process nor file.

    A port or socket lives as long as a process that holds it, so these go with the processes.
    What outlives its parent becomes a child of this process, which adopts it; see `orphans`.
    """
    mine = set(psutil.Process().children())
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
            left = set(psutil.Process().children()) - mine
            # What ends when its pipe closes, as multiprocessing's forkserver, ends just after.
            orphans += psutil.wait_procs(left, timeout=20)[1]
        assert [orphan.cmdline() for orphan in orphans] == []
        assert files(directory) == []


def files(directory: str) -> list[Path]:
    """Return what is in a directory, but for the locks that uv leaves there."""
    return [path for path in Path(directory).iterdir() if not path.match("uv-*.lock")]

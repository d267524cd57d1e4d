"""The demo as its users run it, of which nothing may be left."""

import asyncio
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil


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

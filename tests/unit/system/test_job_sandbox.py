"""The rights of a process in a tutor's sandbox."""

import errno
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from loqua_host.system.sandbox import Sandbox, sandbox_gaps

pytestmark = pytest.mark.skipif(bool(sandbox_gaps()), reason="this kernel has no complete sandbox")

TRY = """
    import json, mmap, os, resource, shutil, signal, socket, sys, tempfile, threading
    from pathlib import Path
    from loqua_host.system import landlock, sandbox
    from loqua_host.system.sandbox import Sandbox

    given = json.loads(sys.argv[1])
    if given["version"]:
        sandbox.landlock_version = landlock.landlock_version = lambda: given["version"]
    paths = {name: Path(given[name]) for name in ("ledger", "hidden", "other", "temporary")}
    Sandbox(
        memory=600,
        ports=given["ports"] and (given["port"],),
        processes=given["processes"],
        writable=tuple(map(Path, given["writable"])),
        hidden=(paths["hidden"],),
        temporary=paths["temporary"],
    ).enter()

    def connects():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", given["port"] + given["beside"]))

    def works_in_its_temporary_directory():
        own = Path(tempfile.mkdtemp())
        (own / "a").write_text("a")
        (own / "b").mkdir()
        (own / "a").rename(own / "b" / "a")
        assert (own / "b" / "a").read_text() == "a"
        shutil.rmtree(own)

    def starts_a_thread():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    def forks():
        if os.fork() == 0:
            os._exit(0)

    def changes_a_mode():
        paths["ledger"].chmod(0)
        return oct(paths["ledger"].stat().st_mode)

    parent = os.getppid()
    tries = {
        "read": paths["ledger"].read_text,
        "write": lambda: paths["ledger"].write_text("changed"),
        "remove": paths["ledger"].unlink,
        "read hidden": paths["hidden"].read_text,
        "read another's": paths["other"].read_text,
        "work": works_in_its_temporary_directory,
        "thread": starts_a_thread,
        "null": lambda: open(os.devnull, "w").write("x"),
        "signal itself": lambda: os.kill(os.getpid(), 0),
        "signal": lambda: os.kill(parent, 0),
        "slow down": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        "limit": lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (9999, 9999)),
        "limit itself": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE),
        "mode": changes_a_mode,
        "fork": forks,
        "connect": connects,
        "memory": lambda: len(bytearray(700_000_000)),
    }
    found = {}
    for name, what in tries.items():
        try:
            found[name] = what()
        except Exception as error:
            found[name] = type(error).__name__
    print(json.dumps(found))
"""


@pytest.fixture
def grants(tmp_path: Path) -> dict[str, Any]:
    """Return files to try things at, and grants of nothing."""
    temporary = tmp_path / "temporary"
    (temporary / "1-other").mkdir(parents=True)
    files = {"ledger": "ledger", "hidden": "hidden", "other": "temporary/1-other/file"}
    for name in files.values():
        (tmp_path / name).write_text("said")
    paths = {name: str(tmp_path / file) for name, file in files.items()}
    more = {"ports": True, "port": 4, "beside": 1, "processes": False, "writable": []}
    more["version"] = None
    return {**paths, "temporary": str(temporary), **more}


def tried(grants: dict[str, Any]) -> dict[str, Any]:
    """Return what came of each try in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(TRY), json.dumps(grants)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_without_grants_a_process_reaches_nothing_but_its_own(grants: dict[str, Any]) -> None:
    """It reads what is not hidden, and works in its temporary directory with threads."""
    mode = oct(Path(grants["ledger"]).stat().st_mode)
    found = tried(grants)
    denied = [name for name, outcome in found.items() if outcome == "PermissionError"]
    files = ["write", "remove", "read hidden", "read another's"]
    assert denied == [*files, "signal", "slow down", "limit", "fork"]
    assert found["connect"] == errno.EACCES
    assert found["memory"] == "MemoryError"
    assert found["mode"] == mode
    assert found["read"] == "said"
    allowed = ("work", "thread", "signal itself")
    assert [found[name] for name in allowed] == [None] * 3


def test_what_is_granted_is_possible(grants: dict[str, Any]) -> None:
    """A directory to write to, programs, a port."""
    writable = [str(Path(grants["ledger"]).parent)]
    found = tried({**grants, "beside": 0, "processes": True, "writable": writable})
    assert found["connect"] == errno.ECONNREFUSED  # the kernel lets it try
    assert (found["write"], found["remove"], found["fork"]) == (len("changed"), None, None)
    assert found["signal"] == "PermissionError"


@pytest.mark.parametrize(
    ("version", "allowed"),
    [(3, ["signal", "connect"]), (5, ["signal"])],
    ids=["before connections", "before signals"],
)
def test_an_older_kernel_restricts_what_it_can(
    grants: dict[str, Any], version: int, allowed: list[str]
) -> None:
    """Files in any case."""
    found = tried({**grants, "version": version})
    assert found["write"] == found["remove"] == found["read hidden"] == "PermissionError"
    assert (found["signal"] is None) is ("signal" in allowed)
    assert (found["connect"] == errno.ECONNREFUSED) is ("connect" in allowed)


def test_any_port_may_be_granted(grants: dict[str, Any]) -> None:
    """Then connections are not restricted."""
    assert tried({**grants, "ports": None})["connect"] == errno.ECONNREFUSED


def test_the_temporary_directory_of_a_process_that_has_ended_is_removed(tmp_path: Path) -> None:
    """Those of running processes remain."""
    for name in ("7-a/deep", "77-b"):
        (tmp_path / name).mkdir(parents=True)
    Sandbox(memory=1000, temporary=tmp_path).clean(7)
    assert [left.name for left in tmp_path.iterdir()] == ["77-b"]

"""The process that becomes the jobs' forkserver, without the host's secrets."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.unit.system.test_process import SECRET

from loqua_host.__main__ import JOBS_ONLY, SHARED
from loqua_host.system.environment import ONE_THREAD

HOST = f"""\
#!{sys.executable}
import json, multiprocessing, os, psutil, sys
from pathlib import Path

from loqua_host.system.environment import forget_environment, restart_with_clean_environ
from loqua_host.system.process import take_startup_environ, start_forkserver
from loqua_host.system.sandbox import is_possible
from loqua_host.system.zygote import fork_zygote

def look(protected, sending):
    try:
        read = open(protected).read()
    except PermissionError:
        read = "denied"
    files = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
             if os.path.lexists(f"/proc/self/fd/{{fd}}")]
    sending.send({{
        "shared": "wave" in sys.modules, "own": "colorsys" in sys.modules, "protected": read,
        "environ": dict(os.environ), "files": files, "name": psutil.Process(os.getppid()).name(),
        "parent": os.getppid(), "threads": len(os.listdir("/proc/self/task")),
    }})

if __name__ == "__main__":
    sys.executable = os.path.abspath(__file__)  # the file that the host executes again
    restart_with_clean_environ(["run"])
    zygote = fork_zygote(["wave"], ["colorsys"], forget_environment)
    environ = take_startup_environ(["run"])
    sys.executable = {sys.executable!r}
    start_forkserver([], [Path(environ["PROTECTED"])], zygote)
    jobs = multiprocessing.get_context("forkserver")
    receiving, sending = jobs.Pipe(duplex=False)
    job = jobs.Process(target=look, args=(environ["PROTECTED"] + "/KEY", sending))
    job.start()
    print(json.dumps({{
        "job": receiving.recv(), "secret": environ["SHARED_SECRET"], "zygote": zygote.pid,
        "possible": is_possible(),
    }}))
    job.join()
"""


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    """Return what a job finds around itself, and what the host knows."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/KEY").write_text("secret")
    host = tmp_path / "host.py"
    host.write_text(HOST)
    host.chmod(0o700)
    environ = {**os.environ, "SHARED_SECRET": SECRET, "PROTECTED": str(tmp_path / "secrets")}
    output = subprocess.run(  # noqa: S603  # our own
        [host], check=False, env=environ, capture_output=True, text=True, timeout=120
    )
    assert output.returncode == 0, output.stderr
    return dict(json.loads(output.stdout))


def test_jobs_have_what_both_import_and_none_of_the_hosts_environment(
    found: dict[str, Any],
) -> None:
    """The host reads it after the fork, and the child closes it."""
    job = found["job"]
    assert found["secret"] == SECRET
    assert SECRET not in json.dumps(job["environ"])
    assert not [name for name in job["files"] if "memfd" in name]
    assert (job["shared"], job["own"]) == (True, True)


def test_the_zygote_is_the_forkserver_and_confined_as_one(found: dict[str, Any]) -> None:
    """It has its name, one thread, and cannot read what is protected."""
    job = found["job"]
    assert (job["parent"], job["name"], job["threads"]) == (found["zygote"], "forkserver", 1)
    assert job["protected"] == ("denied" if found["possible"] else "secret")


ENDS = """
    import os
    from loqua_host.system.zygote import fork_zygote

    fork_zygote([], [], lambda: None)
    os._exit(3)
"""


def test_a_zygote_ends_with_a_host_that_does_not_start() -> None:
    """It would hold the pipe that is read here open, for example if a configuration is refused."""
    command = [sys.executable, "-c", textwrap.dedent(ENDS)]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=60)  # noqa: S603  # our own
    assert ended.returncode == 3


IMPORTS = """
    import os, sys
    from importlib import import_module

    for name in sys.argv[1:]:
        import_module(name)
    print(len(os.listdir("/proc/self/task")), *sys.modules)
"""


def test_nothing_that_is_imported_before_a_fork_starts_a_thread_or_belongs_to_the_host() -> None:
    """A lock that another thread holds at a fork stays locked; jobs have no part of the host."""
    command = [sys.executable, "-c", textwrap.dedent(IMPORTS), *SHARED, *JOBS_ONLY]
    environ = {**os.environ, **ONE_THREAD}
    ended = subprocess.run(  # noqa: S603  # our own
        command, check=True, env=environ, capture_output=True, text=True, timeout=120
    )
    threads, *modules = ended.stdout.split()
    assert threads == "1"
    host = {f"loqua_host.{name}" for name in ("cli", "core", "host", "lessons", "records", "rooms")}
    assert not host.intersection(modules)

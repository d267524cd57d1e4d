"""Protection of the host process at its start."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECRET = "a-secret-of-32-characters-or-more"

PROBE = f"""\
#!{sys.executable}
import sys
sys.executable = __file__  # what take_startup_environ executes again is this file
from loqua_host.system.process import take_startup_environ
before = sys.argv[3:]
environ = dict(take_startup_environ(before or ["run", "--config", "a dir"]))
import ctypes, json, os, resource
try:
    proc = open("/proc/self/environ").read()
except PermissionError:  # of a process that is not dumpable, only root may read it
    proc = ""
print(json.dumps({{
    "arguments": sys.argv[1:],
    "given": environ,
    "environ": dict(os.environ),
    "proc": proc,
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "pid": os.getpid(),
    "files": [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
              if os.path.lexists(f"/proc/self/fd/{{fd}}")],
}}))
"""


@pytest.fixture
def sealed(tmp_path: Path) -> dict[str, Any]:
    """Return what a process finds around itself after it was sealed, and what it was given."""
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    probe.chmod(probe.stat().st_mode | stat.S_IXUSR)
    environ = {**os.environ, "SHARED_SECRET": SECRET, "AGENT_ID": "ä\nb", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen([probe], env=environ, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own
    output, _ = process.communicate(timeout=120)
    return {**json.loads(output), "first_pid": process.pid, "first": environ}


def test_the_environment_is_handed_over_and_gone(sealed: dict[str, Any]) -> None:
    """All of it reaches the host; neither its environment nor its /proc shows a secret."""
    assert sealed["given"] == sealed["first"]
    assert SECRET not in json.dumps(sealed["environ"])
    assert SECRET not in sealed["proc"]
    assert "SHARED_SECRET" not in sealed["environ"]
    assert sealed["environ"]["LC_ALL"] == "C.UTF-8"
    assert not [name for name in sealed["environ"] if name.startswith("LOQUA_")]


def test_the_process_stays_the_same_and_so_do_its_arguments(sealed: dict[str, Any]) -> None:
    """A supervisor finds it by its pid."""
    assert sealed["pid"] == sealed["first_pid"]
    assert sealed["arguments"] == ["-m", "loqua_host", "run", "--config", "a dir"]


def test_its_memory_is_out_of_reach(sealed: dict[str, Any]) -> None:
    """It leaves no core and is not dumpable."""
    assert sealed["dumpable"] == 0
    assert sealed["core"] == [0, 0]


def test_nothing_that_children_could_inherit_is_left_open(sealed: dict[str, Any]) -> None:
    """The file that carried the environment is closed."""
    assert not [name for name in sealed["files"] if "memfd" in name]

"""An agent with an MCP server over HTTP, in the sandbox of a job."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.ports import free_port
from loqua_host.system.sandbox import sandbox_gaps

pytestmark = pytest.mark.skipif(bool(sandbox_gaps()), reason="this kernel has no complete sandbox")

UNIT = Path(__file__).parents[2] / "unit"

LESSONS = """
    import json, os, sys
    from pathlib import Path
    from loqua_host.system.sandbox import Sandbox
    from loqua_host.testing import CallsTool, LessonFailedError, LessonScript, Says, play_lesson

    script = LessonScript(
        agent="tests.unit.testing.lesson_tutors:OnlineTranslator",
        replies=(CallsTool("translate", {"word": "perro"}),),
        steps=(Says("¿Qué es perro?"),),
    )
    for port in json.loads(sys.argv[1]):
        if os.fork():
            os.wait()
            continue
        Sandbox(
            memory=2000,
            ports=(port,),
            processes=False,
            writable=(),
            hidden=(),
            temporary=Path(sys.argv[2]),
        ).enter()
        try:
            print(json.dumps(play_lesson(script).tutor_said))
        except LessonFailedError as error:
            print(json.dumps(str(error)))
        sys.exit()
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Yield the port of a dictionary server."""
    port = free_port()
    server = str(UNIT / "testing/dictionary_server.py")
    process = subprocess.Popen(dying_with_parent(sys.executable, server, str(port)))  # noqa: S603  # ours
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def taught(port: int, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what a tutor says in a sandbox with the server's port granted, and with another."""
    environ = {**os.environ, "DICTIONARY_URL": f"http://127.0.0.1:{port}/mcp"}
    arguments = (json.dumps([port, port + 1]), str(tmp_path_factory.mktemp("lessons")))
    command = [sys.executable, "-c", textwrap.dedent(LESSONS), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
    return [str(json.loads(line)) for line in done.stdout.splitlines()[-2:]]


def test_a_tool_answers_over_a_granted_port(taught: list[str]) -> None:
    """As with `sandbox: network: [PORT]` in the tutor's file."""
    assert "dog" in taught[0]


def test_without_the_grant_the_server_is_not_reached(taught: list[str]) -> None:
    """The lesson goes on without its tools."""
    assert "dog" not in taught[1]

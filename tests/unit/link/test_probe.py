"""The probe: a process like a job's that connects to the host."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
    import asyncio, json, os, shutil, signal, sys
    from multiprocessing import forkserver
    from loqua_host.errors import LinkError
    from loqua_host.link.probe import JobProbe
    from loqua_host.link.server import serve_link
    from loqua_host.system.process import start_forkserver
    from loqua_host.system.sockets import listen_unnamed

    async def reaches(probe, seconds=60):
        try:
            async with asyncio.timeout(seconds):
                await probe.run()
            return "ok"
        except LinkError as error:
            return str(error)
        except TimeoutError:
            return "hangs"

    async def main():
        found = {}
        with listen_unnamed() as (listener, handle):
            probe = JobProbe(handle)
            async with serve_link(listener, authorise=None, serve=None):
                shutil.rmtree(os.environ["TMPDIR"])
                found["serves"] = await reaches(probe)
                pid = forkserver._forkserver._forkserver_pid
                os.kill(pid, signal.SIGSTOP)
                found["stopped"] = [await reaches(probe, 0.3), await reaches(probe, 0.3)]
                os.kill(pid, signal.SIGCONT)
                found["continues"] = [await reaches(probe), await reaches(probe)]
            found["closed"] = await reaches(probe)
        print(json.dumps(found))

    if __name__ == "__main__":
        start_forkserver(["loqua_host.link.probe"])
        asyncio.run(main())
"""


def test_a_job_is_started_and_reaches_the_host_whatever_became_of_directories(
    tmp_path: Path,
) -> None:
    """Whose name is too long for a socket besides; if it does not, that is seen by trying."""
    temporary = tmp_path / ("x" * 100)
    temporary.mkdir()
    script = tmp_path / "host.py"
    script.write_text(textwrap.dedent(SCRIPT))
    output = subprocess.run(  # noqa: S603  # our own
        [sys.executable, str(script)],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert output.returncode == 0, output.stderr
    found = json.loads(output.stdout)
    assert found["serves"] == "ok"
    assert found["stopped"] == ["hangs", "hangs"]
    assert found["continues"] == ["ok", "ok"]
    assert "does not reach the host" in found["closed"]

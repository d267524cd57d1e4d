"""Supervision of the jobs' forkserver."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

WATCH = """
    import asyncio, os, signal, json
    from multiprocessing import forkserver
    from loqua_host.system.process import forkserver_ended, forkserver_runs

    async def main():
        forkserver.ensure_running()
        watching = asyncio.create_task(forkserver_ended())
        await asyncio.sleep(0.2)
        early = watching.done() or not forkserver_runs()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        await asyncio.wait_for(watching, 90)
        print(json.dumps({"early": early, "seen": watching.done() and not forkserver_runs()}))

    asyncio.run(main())
"""


def test_the_end_of_the_forkserver_is_seen_at_once_and_not_before() -> None:
    """Any process may kill it, in any way."""
    command = [sys.executable, "-c", textwrap.dedent(WATCH)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603  # our own
    assert json.loads(output.stdout) == {"early": False, "seen": True}


PROTECTED_PATHS = """
    import json, multiprocessing, sys
    from pathlib import Path
    from loqua_host.system.sandbox import is_possible
    from loqua_host.system.process import start_forkserver

    def read(file, sending):
        try:
            sending.send(file.read_text())
        except PermissionError:
            sending.send("denied")

    if __name__ == "__main__":
        file = Path(sys.argv[1]) / "KEY"
        start_forkserver([], [file.parent])
        found = []
        jobs = multiprocessing.get_context("forkserver")
        for path in (file, Path(sys.argv[2])):
            receiving, sending = jobs.Pipe(duplex=False)
            job = jobs.Process(target=read, args=(path, sending))
            job.start()
            found.append(receiving.recv())
            job.join()
        print(json.dumps({"possible": is_possible(), "job": found, "host": file.read_text()}))
"""


def test_what_is_protected_is_read_by_the_host_and_by_no_job(tmp_path: Path) -> None:
    """The kernel must support it."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/KEY").write_text("secret")
    (tmp_path / "open").write_text("open")
    script = tmp_path / "host.py"
    script.write_text(textwrap.dedent(PROTECTED_PATHS))
    command = [sys.executable, str(script), str(tmp_path / "secrets"), str(tmp_path / "open")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603  # our own
    found = json.loads(output.stdout)
    kept = "denied" if found["possible"] else "secret"
    assert (found["job"], found["host"]) == ([kept, "open"], "secret")

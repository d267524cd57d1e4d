"""The process that jobs are forked from is watched."""

import json
import subprocess
import sys
import textwrap

WATCH = """
    import asyncio, os, signal, json
    from multiprocessing import forkserver
    from loqua_host.process import forkserver_ended, forkserver_runs

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
    """Whoever kills it, and however."""
    command = [sys.executable, "-c", textwrap.dedent(WATCH)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603  # our own
    assert json.loads(output.stdout) == {"early": False, "seen": True}

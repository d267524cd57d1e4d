"""`loqua-host demo`, stopped by Ctrl-C, with nothing left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from tests.acceptance.demo import running

pytestmark = [
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("interruptible", "server_program"),
]

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "loqua_host", "demo")


@pytest.mark.parametrize("moment", ["loading the speech models", "lesson.opened"])
async def test_ctrl_c_leaves_nothing_behind(moment: str, orphans: list[psutil.Process]) -> None:
    """Whenever it comes, at the start or within a lesson, it ends all that was started."""
    async with running(*COMMAND, cwd=ROOT, environ=dict(os.environ), orphans=orphans) as process:
        assert process.stdout
        while moment not in (line := (await process.stdout.readline()).decode()):
            assert line, "the demo ended early"
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()
    assert process.returncode == 130

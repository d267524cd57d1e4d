"""`loqua-host demo`: three lessons with the expected records, and nothing left behind."""

import json
import re
import sys
from pathlib import Path

import psutil
import pytest
from tests.acceptance.demo import ROOT, fresh_environ, running

from loqua_host.dev.scripts import LESSONS, mismatches

pytestmark = [
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("server_program"),
]

LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT[\d:.]+Z\] \[[A-Z]+\] (\[[^\]]*\] ){3}\S")


async def test_three_lessons_leave_their_records_and_nothing_else(
    tmp_path: Path, orphans: list[psutil.Process]
) -> None:
    """With the variables of a fresh machine: all that was said arrives.

    `--once` prints what the API received, exits with 0, and every log line has its form.
    """
    command = (sys.executable, "-m", "loqua_host", "demo", "--once")
    async with running(
        *command, cwd=ROOT, environ=fresh_environ(tmp_path), orphans=orphans
    ) as process:
        printed, shown = await process.communicate()
    lines = shown.decode().splitlines()
    logged = [line for line in lines if line.startswith("[")]
    assert process.returncode == 0, "\n".join(line for line in lines if line not in logged)
    records = json.loads(printed)
    assert [fault for lesson in LESSONS for fault in mismatches(lesson, records)] == []
    assert logged
    assert [line for line in logged if not LOG_LINE.match(line)] == []

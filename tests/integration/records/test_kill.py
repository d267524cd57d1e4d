"""Hosts killed during delivery; tests/bench/kill.py kills them thirty times."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(400)

KILL = Path(__file__).parents[2] / "bench/kill.py"


async def torture(*arguments: str) -> list[dict[str, Any]]:
    """Kill hosts, and return what came of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(KILL), *arguments), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    runs: list[dict[str, Any]] = json.loads(output)
    return runs


async def test_no_record_is_lost_or_doubled_by_kills() -> None:
    """On an API that honours keys, and on one that ignores them; a third of its answers fail."""
    runs = await torture("--kills", "3", "--lessons", "20", "--ledger", "sqlite")
    assert [run["honours_keys"] for run in runs] == [True, False]
    for run in runs:
        assert (run["lost"], run["twice"], run["last_progress_wrong"]) == (0, 0, 0), run
        assert run["arrived"] == 20, run
        assert 1 <= run["kills"] <= 3, run  # it may be done before the third


@pytest.mark.usefixtures("postgres")  # skips where there is none
async def test_hosts_that_share_a_ledger_finish_what_killed_ones_left() -> None:
    """Three on one Postgres, each killed once; the API ignores keys."""
    short = ("--kills", "3", "--lessons", "6")
    [run] = await torture(*short, "--ledger", "postgres", "--keys", "ignored")
    assert (run["lost"], run["twice"], run["last_progress_wrong"]) == (0, 0, 0), run
    assert (run["arrived"], run["kills"], run["hosts"]) == (6, 3, 3), run

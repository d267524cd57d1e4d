"""A host killed three times while it delivers; tests/bench/kill.py kills it thirty times."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)

KILL = Path(__file__).parents[2] / "bench/kill.py"


async def test_no_record_is_lost_or_doubled_by_kills() -> None:
    """On an API that honours keys, and on one that ignores them; a third of its answers fail."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(KILL), "--kills", "3", "--lessons", "20"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    runs = json.loads(output)
    assert [run["honours_keys"] for run in runs] == [True, False]
    for run in runs:
        assert (run["lost"], run["twice"], run["last_progress_wrong"]) == (0, 0, 0), run
        assert (run["arrived"], run["kills"]) == (20, 3), run
    assert process.returncode == 0

"""A process killed while it re-encrypts its ledger, without losses."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from loqua_host.contract.records import Progress
from loqua_host.errors import LedgerError
from loqua_host.records import reencryption
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.database import database_at
from loqua_host.records.ledger import Ledger, LessonRow
from loqua_host.system.tasks import background

LESSONS = 60
TICKS = LESSONS // 3
OLD, NEW = "old-" * 8, "new-" * 8


def lesson(number: int) -> LessonRow:
    """Return a lesson that nobody has taught yet."""
    place = {"room": f"room{number}", "visit": f"visit{number}", "user_id": f"user{number}"}
    return LessonRow(id=str(number), session_id="", tutor="t", agent_id="a", opened_at=0.0, **place)


async def rotate(path: Path, url: str | None) -> None:
    """Re-encrypt a ledger of running lessons slowly with another key, until killed half-way."""
    reencryption.LESSONS_AT_ONCE = 1
    async with Ledger.open(database_at(path, url), keys=[OLD]) as ledger, background() as tasks:
        rows = [await ledger.open_lesson(lesson(number), "") for number in range(LESSONS)]
        ledger.use_keys([NEW, OLD])
        tasks.create_task(ledger.reencrypt())
        for words in range(1, TICKS + 1):
            await ledger.save_progress(rows[-1], 1.0, Progress(words_learned=words), {})
            print(words, flush=True)  # noqa: T201  # for the test
        os.kill(os.getpid(), signal.SIGKILL)


def kept(path: Path, url: str | None, *keys: str) -> dict[str, int]:
    """Return the lessons that can be read with these keys, each with its learner's words."""
    found = {}
    with LedgerAdmin.open(database_at(path, url), keys) as admin:
        for number in range(LESSONS):
            with suppress(LedgerError):
                whole: Any = admin.explain(f"visit{number}")
                found[whole["user_id"]] = (whole["progress"] or {"words_learned": 0})[
                    "words_learned"
                ]
    return found


async def test_a_host_that_is_killed_while_its_ledger_gets_another_key_loses_nothing(
    tmp_path: Path, ledger_url: str | None
) -> None:
    """The next one goes on with it; then the key before is of no use."""
    place = tmp_path / "ledger.db", ledger_url
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(place[0]), ledger_url or ""),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = kept(*place, NEW, OLD)
    assert len(left) == LESSONS
    assert left[f"user{LESSONS - 1}"] >= int(said.split()[-1]) == TICKS
    old, new = kept(*place, OLD), kept(*place, NEW)
    assert old, "it was killed too late"
    assert new, "it was killed too early"
    assert old | new == left
    async with Ledger.open(database_at(*place), keys=[NEW, OLD]):
        pass
    assert kept(*place, NEW) == left


if __name__ == "__main__":
    asyncio.run(rotate(Path(sys.argv[1]), sys.argv[2] or None))

"""Kill a host again and again while it delivers: no record is lost, none arrives twice.

Run with `python tests/bench/kill.py`; prints its figures as JSON, and ends with 0 if all is well.

A driver process teaches lessons that only make progress and end, and delivers them with the real
ledger, core and delivery to a dev API on a socket, of whose answers a third fail, hang or are lost
after the API took what was sent. It is killed at random moments and started again on the same
ledger. Its wall clock runs a hundred times too fast, so that the pauses between attempts pass.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import structlog
from pydantic import SecretStr

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.dev.api import DevApiSettings, Learner, serve
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.sqlite import SqliteDatabase

HASTE = 100.0
AT_A_TIME = 12
TICKS = 3
LEARNERS = 20
AGENT = "loqua-tutor"
SECRET = "a shared secret"
KEY = "a key for the ledger of this bench"
FAULTS = [
    {"kind": "error", "status": 503, "rate": 0.08},
    {"kind": "outage", "rate": 0.08},
    {"kind": "lost_answer", "rate": 0.1},
    {"kind": "hang", "rate": 0.1},
]


class HastyClock:
    """A clock that runs too fast, the same in every process."""

    def monotonic(self) -> float:
        """Give seconds of its own."""
        return time.monotonic() * HASTE

    def now(self) -> float:
        """Give unix seconds of its own."""
        return time.time() * HASTE

    async def sleep(self, seconds: float) -> None:
        """Wait for seconds of its own."""
        await asyncio.sleep(seconds / HASTE)


async def drive(path: Path, url: str, jwt: str, lessons: int) -> None:
    """Teach what is not yet taught and deliver, until nothing is owed."""
    settings = CoreSettings.model_validate(
        {
            "api_base_url": url,
            "connect_timeout": 0.2,
            "attempt_timeout": 0.3,
            "deadline": 1,
            "backoff": 0.02,
            "breaker": {"failures": 1000},
            "rate_limit": 10_000,
        }
    )
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": jwt, "SHARED_SECRET": SECRET})
    async with (
        LoquaApi.open(settings, secrets) as api,
        Ledger.open(SqliteDatabase(path), keys=[KEY]) as ledger,
    ):
        delivery = Delivery(ledger, api, clock=HastyClock())
        delivering = asyncio.create_task(delivery.run())
        text = "SELECT id FROM lesson"
        rows = await ledger._writer.write(lambda db: db.execute(text).fetchall())
        known = {row["id"] for row in rows}
        await ledger.adopt()
        delivery.wake()
        left = {row.id: row for row in await ledger.interrupted()}
        say("ready")
        new = {f"lesson{n}": None for n in range(lessons) if f"lesson{n}" not in known}
        waiting = iter({**left, **new}.items())

        async def teach() -> None:
            for number, row in waiting:
                await lesson(ledger, delivery, row or await open_one(ledger, number))

        await asyncio.gather(*(teach() for _ in range(AT_A_TIME)))
        await delivery.idle()
        delivering.cancel()
        await asyncio.wait([delivering])


async def open_one(ledger: Ledger, number: str) -> LessonRow:
    """Open a lesson of one of the learners."""
    row = LessonRow(
        id=number,
        session_id="",
        visit=f"visit-{number}",
        user_id=f"user-{int(number.removeprefix('lesson')) % LEARNERS}",
        room=f"room-{number}",
        tutor="conversation",
        agent_id=AGENT,
        opened_at=HastyClock().now(),
    )
    return await ledger.open_lesson(row, "")


async def lesson(ledger: Ledger, delivery: Delivery, row: LessonRow) -> None:
    """Teach a lesson, or the rest of one; each word is acknowledged before the next."""
    before = row.progress.words_learned if row.progress else 0
    for words in range(before + 1, TICKS + 1):
        await asyncio.sleep(random.uniform(0, 0.3))  # noqa: S311  (no secret)
        row = replace(row, progress=Progress(words_learned=words))
        await ledger.keep_progress(row, float(words), Progress(words_learned=words), {})
        delivery.wake()
    record = SessionRecord(
        session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )
    await ledger.close_lesson(
        row, HastyClock().now(), Kind.COMPLETED, Progress(words_learned=TICKS), record
    )
    say(f"closed {row.session_id}")
    delivery.wake()


def say(line: str) -> None:
    """Tell the parent, at once and whole, as a pipe takes it."""
    os.write(1, f"{line}\n".encode())


async def torture(kills: int, lessons: int, *, honours_keys: bool) -> dict[str, object]:
    """Run the driver to its end, killing it on the way, and count what the API got."""
    settings = DevApiSettings(
        shared_secret=SecretStr(SECRET),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr("a secret of the LiveKit server, thirty-two or more"),
        learners={f"user-{number}": Learner() for number in range(LEARNERS)},
        honour_idempotency=honours_keys,
    )
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=ready.set_result))
    begun = time.monotonic()
    try:
        url = await ready
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "ledger.db"
            command = (url, settings.mint_agent_jwt(AGENT), str(lessons))
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                (await http.put("/dev/faults", json={"faults": FAULTS})).raise_for_status()
                told, killed = await _drive_to_the_end(path, command, kills)
                arrived = (await http.get("/dev/records")).json()
            dead = await _dead(path)
    finally:
        serving.cancel()
        await asyncio.wait([serving])
    figures = _count(arrived, told, lessons)
    return {
        "honours_keys": honours_keys,
        "kills": killed,
        "seconds": round(time.monotonic() - begun, 1),
        "dead": dead,
        **figures,
    }


async def _drive_to_the_end(
    path: Path, command: tuple[str, ...], kills: int
) -> tuple[set[str], int]:
    told: set[str] = set()
    killed = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--drive", str(path), *command),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the driver ended with {await process.wait()}")
        reading = asyncio.create_task(process.stdout.read())
        if killed < kills:
            await asyncio.wait([reading], timeout=random.uniform(0.02, 0.5))  # noqa: S311  (likewise)
            if process.returncode is None:
                process.kill()
                killed += 1
        told |= {line.split()[1].decode() for line in (await reading).splitlines() if line}
        if await process.wait() == 0:
            return told, killed


async def _dead(path: Path) -> int:
    async with Ledger.open(SqliteDatabase(path), keys=[KEY]) as ledger:
        return (await ledger.debts()).dead


def _count(
    arrived: dict[str, list[dict[str, dict[str, object]]]], told: set[str], lessons: int
) -> dict[str, int | bool]:
    records = Counter(str(one["payload"]["sessionId"]) for one in arrived["sessions"])
    lost = {f"visit-lesson{number}" for number in range(lessons)} - records.keys()
    twice = sum(count > 1 for count in records.values())
    last = {str(one["payload"]["sessionId"]): one["payload"] for one in arrived["progress"]}
    wrong = sum(_words(payload) != TICKS for payload in last.values())
    return {
        "lessons": lessons,
        "acknowledged": len(told),
        "arrived": sum(records.values()),
        "lost": len(lost),
        "twice": twice,
        "last_progress_wrong": wrong,
        "progress_arrived": len(arrived["progress"]),
        "good": not (lost or twice or wrong or told - records.keys()),
    }


def _words(payload: dict[str, object]) -> object:
    data = payload["data"]
    assert isinstance(data, dict)
    return data["status"] == "completed" and data["progress"]["words_learned"]


async def torture_both(kills: int, lessons: int) -> list[dict[str, object]]:
    """Torture with an API that honours keys and beside it with one that ignores them."""
    runs = (torture(kills, lessons, honours_keys=honours) for honours in (True, False))
    return await asyncio.gather(*runs)


def main() -> int:
    """Run both kinds of API."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kills", type=int, default=30)
    arguments.add_argument("--lessons", type=int, default=200)
    arguments.add_argument("--drive", nargs=4)
    given = arguments.parse_args()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(open(os.devnull, "w")))  # noqa: SIM115, PTH123  (until the end)
    if given.drive:
        path, url, jwt, lessons = given.drive
        asyncio.run(drive(Path(path), url, jwt, int(lessons)))
        return 0
    figures = asyncio.run(torture_both(given.kills, given.lessons))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if all(one["good"] for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

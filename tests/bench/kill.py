"""Repeated kills of delivering hosts, without a lost or duplicate record.

Run with `python tests/bench/kill.py`; prints its figures as JSON, and ends with 0 if all is well.

A driver process is a host whose lessons only make progress and end. It delivers them with the real
ledger, core and delivery to a dev API on a socket, of whose answers a third fail, hang or are lost
after the API took what was sent. One has its ledger in a file, three share one in Postgres. They
are killed at random moments and started again; whoever lives goes on with the lessons of the dead.
Their wall clock runs a hundred times too fast, so that the pauses between attempts pass.
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
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import httpx
import structlog
from pydantic import BaseModel, SecretStr

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.dev.api import DevApiSettings, RegisteredLearner, serve
from loqua_host.dev.postgres import new_schema, run_postgres
from loqua_host.observability.metrics import Instruments
from loqua_host.records import leases
from loqua_host.records.database import Row, database_at
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.system.tasks import background

HASTE = 100.0
HOSTS = 3
LEASE = 4.0
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
    {"kind": "intercepted", "status": 404, "rate": 0.05},
    {"kind": "intercepted", "status": 403, "body": "<h1>Blocked</h1>", "rate": 0.05},
]


class DriverConfig(BaseModel):
    """The configuration of a driver process."""

    place: str
    postgres: str | None
    spool: Path
    url: str
    jwt: str
    lessons: int
    share: int
    hosts: int


class HastyClock:
    """A clock that runs too fast, equally in every process."""

    def monotonic(self) -> float:
        """Return seconds of its own."""
        return time.monotonic() * HASTE

    def now(self) -> float:
        """Return unix seconds of its own."""
        return time.time() * HASTE

    async def sleep(self, seconds: float) -> None:
        """Wait for seconds of its own."""
        await asyncio.sleep(seconds / HASTE)


async def drive(host: DriverConfig) -> None:
    """Teach a share of the lessons and what others left, until no outbox has an entry."""
    settings = CoreSettings.model_validate(
        {
            "api_base_url": host.url,
            "connect_timeout": 0.2,
            "attempt_timeout": 0.3,
            "deadline": 1,
            "backoff": 0.02,
            "breaker": {"failures": 1000},
            "rate_limit": 10_000,
        }
    )
    leases.LEASE = LEASE
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": host.jwt, "SHARED_SECRET": SECRET})
    database = database_at(Path(host.place), host.postgres)
    opening = Ledger.open(database, keys=[KEY], spool=host.spool)
    async with LoquaApi.open(settings, secrets) as api, opening as ledger, background() as tasks:
        delivery = Delivery(ledger, api, clock=HastyClock(), metrics=DeliveryMetrics(Instruments()))
        tasks.create_task(delivery.run())
        known = {row["id"] for row in await read(ledger, "SELECT id FROM lesson")}
        own = (f"lesson{n}" for n in range(host.share, host.lessons, host.hosts))
        waiting: asyncio.Queue[str] = asyncio.Queue()
        for number in own:
            if number not in known:
                waiting.put_nowait(number)
        say("ready")
        for _ in range(AT_A_TIME):
            tasks.create_task(teach(ledger, delivery, waiting))
        await look_after(ledger, delivery, waiting, host.lessons)


async def look_after(
    ledger: Ledger, delivery: Delivery, waiting: asyncio.Queue[str], lessons: int
) -> None:
    """Keep the lease and have lost lessons taught, until all are closed and delivered."""
    seen: set[str] = set()
    closed = "SELECT id FROM lesson WHERE closed_at IS NOT NULL"
    while True:
        await ledger.take_over(["conversation"])
        delivery.wake()
        lost = {row.id for row in await ledger.interrupted()}
        for number in lost - seen:
            waiting.put_nowait(number)
        seen |= lost
        backlog = await ledger.backlog()
        if not backlog.records + backlog.progress and len(await read(ledger, closed)) == lessons:
            return
        await asyncio.sleep(LEASE / 3)


async def read(ledger: Ledger, text: str) -> Sequence[Row]:
    """Query the database itself."""
    return await ledger._writer.write(lambda db: db.execute(text).fetchall())


async def teach(ledger: Ledger, delivery: Delivery, waiting: asyncio.Queue[str]) -> None:
    """Teach one lesson after the other."""
    while True:
        await lesson(ledger, delivery, await open_one(ledger, await waiting.get()))


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
        await ledger.save_progress(row, float(words), Progress(words_learned=words), {})
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
    """Write to the parent at once and whole, as a pipe takes it."""
    os.write(1, f"{line}\n".encode())


async def torture(
    kills: int, lessons: int, *, honours_keys: bool, postgres: str | None
) -> dict[str, object]:
    """Run the drivers to their end, killing them on the way, and count what the API got."""
    settings = DevApiSettings(
        shared_secret=SecretStr(SECRET),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr("a secret of the LiveKit server, thirty-two or more"),
        learners={f"user-{number}": RegisteredLearner() for number in range(LEARNERS)},
        honour_idempotency=honours_keys,
    )
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=ready.set_result))
    begun = time.monotonic()
    try:
        url = await ready
        with tempfile.TemporaryDirectory() as directory:
            hosts = [
                DriverConfig(
                    place=f"{directory}/ledger.db",
                    postgres=postgres,
                    spool=Path(directory) / f"spool{share}",
                    url=url,
                    jwt=settings.mint_agent_jwt(AGENT),
                    lessons=lessons,
                    share=share,
                    hosts=HOSTS if postgres else 1,
                )
                for share in range(HOSTS if postgres else 1)
            ]
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                (await http.put("/dev/faults", json={"faults": FAULTS})).raise_for_status()
                runs = await asyncio.gather(
                    *(_drive_to_the_end(host, kills // len(hosts)) for host in hosts)
                )
                arrived = (await http.get("/dev/records")).json()
            dead = await _dead(hosts[0])
    finally:
        serving.cancel()
        await asyncio.wait([serving])
    acknowledged = set[str]().union(*(one for one, _ in runs))
    return {
        "ledger": "postgres" if postgres else "sqlite",
        "hosts": len(hosts),
        "honours_keys": honours_keys,
        "kills": sum(killed for _, killed in runs),
        "seconds": round(time.monotonic() - begun, 1),
        "dead": dead,
        **_count(arrived, acknowledged, lessons),
    }


async def _drive_to_the_end(host: DriverConfig, kills: int) -> tuple[set[str], int]:
    acknowledged: set[str] = set()
    killed = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--drive", host.model_dump_json()),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the driver ended with {await process.wait()}")
        reading = asyncio.create_task(process.stdout.read())
        if killed < kills:
            await asyncio.wait([reading], timeout=random.uniform(0.02, 0.8))  # noqa: S311  (likewise)
            if process.returncode is None:
                process.kill()
                killed += 1
        acknowledged |= {line.split()[1].decode() for line in (await reading).splitlines() if line}
        if await process.wait() == 0:
            return acknowledged, killed


async def _dead(host: DriverConfig) -> int:
    async with Ledger.open(database_at(Path(host.place), host.postgres), keys=[KEY]) as ledger:
        return (await ledger.backlog()).dead


def _count(
    arrived: dict[str, list[dict[str, dict[str, object]]]], acknowledged: set[str], lessons: int
) -> dict[str, int | bool]:
    records = Counter(str(one["payload"]["sessionId"]) for one in arrived["sessions"])
    lost = {f"visit-lesson{number}" for number in range(lessons)} - records.keys()
    twice = sum(count > 1 for count in records.values())
    last = {str(one["payload"]["sessionId"]): one["payload"] for one in arrived["progress"]}
    wrong = sum(_words(payload) != TICKS for payload in last.values())
    return {
        "lessons": lessons,
        "acknowledged": len(acknowledged),
        "arrived": sum(records.values()),
        "lost": len(lost),
        "twice": twice,
        "last_progress_wrong": wrong,
        "progress_arrived": len(arrived["progress"]),
        "good": not (lost or twice or wrong or acknowledged - records.keys()),
    }


def _words(payload: dict[str, object]) -> object:
    data = payload["data"]
    assert isinstance(data, dict)
    return data["status"] == "completed" and data["progress"]["words_learned"]


async def torture_all(
    kills: int, lessons: int, keys: Sequence[str], url: str | None
) -> list[dict[str, object]]:
    """Test each kind of API at the same time, with a ledger of its own."""
    with ExitStack() as schemas:
        return await asyncio.gather(
            *(
                torture(
                    kills,
                    lessons,
                    honours_keys=kind == "honoured",
                    postgres=url and schemas.enter_context(new_schema(url)),
                )
                for kind in keys
            )
        )


def main() -> int:
    """Run both kinds of API on both kinds of ledger."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kills", type=int, default=30)
    arguments.add_argument("--lessons", type=int, default=200)
    arguments.add_argument("--ledger", choices=["sqlite", "postgres"], nargs="*")
    arguments.add_argument("--keys", choices=["honoured", "ignored"], nargs="*")
    arguments.add_argument("--drive", type=DriverConfig.model_validate_json)
    given = arguments.parse_args()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(open(os.devnull, "w")))  # noqa: SIM115, PTH123  (until the end)
    if given.drive:
        asyncio.run(drive(given.drive))
        return 0
    figures = []
    for ledger in given.ledger or ["sqlite", "postgres"]:
        with nullcontext() if ledger == "sqlite" else run_postgres() as url:
            keys = given.keys or ["honoured", "ignored"]
            figures += asyncio.run(torture_all(given.kills, given.lessons, keys, url))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if all(one["good"] for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

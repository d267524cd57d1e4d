"""A host in trouble, for pictures and tests: three tutors, ten lessons, one failing endpoint."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from loqua_host.capacity.admission import Headroom
from loqua_host.core.breaker import BreakerState
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.lessons.decisions import Wait
from loqua_host.lessons.metrics import StageTotal
from loqua_host.ops.health import assess
from loqua_host.ops.history import Sample, summarise
from loqua_host.ops.recent_errors import RecentErrors
from loqua_host.ops.snapshot import HostSnapshot, take_snapshot
from loqua_host.ops.status import HostStatus, LessonStatus, Outcome, Phase, WorkerStatus
from loqua_host.ops.web import build_app
from loqua_host.records.ledger import Backlog

__all__ = ["OUTAGE", "TOKEN", "incident", "serve_page"]

NOW = 20_000.0
UNIX = 1_800_000_000.0
TOKEN = SecretStr("an-ops-token-for-pictures-and-tests")
FINE = Outcome(NOW - 4, 0.012)
SAMPLES = 241
BEGAN = 200
"""The sample at which the outage began."""
SHARES = {"conversation": 2, "grammar": 1, "pronunciation": 1}
"""How much of the lessons each tutor gives."""


def _lessons() -> tuple[LessonStatus, ...]:
    tutors = ("conversation", "conversation", "grammar", "conversation", "pronunciation")
    return tuple(
        LessonStatus(
            short_id=f"{0x3F9A1C27 + 0x1B3D5F7 * number:08x}",
            tutor=tutors[number % 5],
            mode="cache" if number in (3, 7) else "full",
            opened_at=UNIX - 140 - 173 * number,
            restarts=1 if number == 4 else 0,
            engines={"tts": 1 if number == 6 else 0},
        )
        for number in range(10)
    )


OUTAGE = HostStatus(
    now=NOW,
    unix=UNIX,
    since=NOW - 11_400,
    phase=Phase.SERVING,
    lag=0.021,
    memory=0.61,
    headroom=Headroom(4, "processors"),
    cpu_load=0.48,
    jobs=FINE,
    disk_free=0.72,
    workers=(
        WorkerStatus("conversation", "", online=True, busy=6, places=12),
        WorkerStatus("grammar", "grammar-specialist", online=True, busy=2, places=4),
        WorkerStatus("pronunciation", "pronunciation-specialist", online=True, busy=2, places=2),
    ),
    lessons=_lessons(),
    waiting=(Wait("pronunciation", 23.0), Wait("pronunciation", 6.0)),
    rooms=FINE,
    endpoints={
        "context": EndpointStatus(NOW - 41, 0.134),
        "health": EndpointStatus(NOW - 9, 0.021),
        "progress": EndpointStatus(NOW - 3, 0.118),
        "sessions": EndpointStatus(
            NOW - 14, 5.004, "503, an answer of its proxy", BreakerState.OPEN
        ),
        "user-token": EndpointStatus(NOW - 41, 0.088),
    },
    agent_jwt_left=86_400.0 * 41,
    ledger=FINE,
    backlog=Backlog(records=3, progress=0, dead=0, oldest=UNIX - 512),
)


def incident(status: HostStatus = OUTAGE) -> HostSnapshot:
    """Return the snapshot of a status, with errors and an hour that led to them."""
    hours = summarise([_moment(number) for number in range(SAMPLES)])
    return take_snapshot(status, assess(status), _errors().newest_first(), hours)


def _errors() -> RecentErrors:
    ages = iter([1900.0, 1310.0, 610.0, 598.0, 22.0])
    errors = RecentErrors(lambda: NOW - next(ages))
    hint = "correct it; until then the host runs the configuration before"
    wrong = {"event": "config.refused", "why": "config/tutors/grammar.yaml: max_concurrent_jobs: 0"}
    errors(None, "error", {**wrong, "hint": hint})
    hint = "a tutor is brought back at once; see the log of its job for the traceback"
    interrupted = {"event": "lesson.interrupted", "tutor": "pronunciation", "hint": hint}
    errors(None, "warning", {**interrupted, "why": "the job's process ended with signal 9"})
    hint = "calls resume by themselves once the API answers; records wait in the ledger"
    opened = {"event": "breaker.opened", "endpoint": "sessions", "hint": hint}
    errors(None, "warning", {**opened, "why": "503 five times"})
    postponed = {"event": "record.postponed", "endpoint": "sessions"}
    errors(None, "warning", {**postponed, "why": "the API is unreachable"})
    refused = {"event": "job.refused", "tutor": "pronunciation", "why": "full"}
    hint = "raise max_concurrent_jobs in config/tutors/pronunciation.yaml, or add a host"
    errors(None, "warning", {**refused, "hint": hint})
    return errors


def _moment(number: int) -> dict[str, Sample]:
    """Return samples of an hour in which lessons come and go and an outage begins, by tutor."""
    slow = max(0, number - BEGAN)
    waiting = sum(number >= begun for begun in (238, 239))
    last = {"conversation": 6, "grammar": 2, "pronunciation": 2}
    errors = {
        "": (number > 110) + slow // 3,
        "conversation": 0,
        "grammar": 0,
        "pronunciation": int(number > 150),
    }
    return {
        tutor: Sample(
            lessons=last.get(tutor, 0) if number == SAMPLES - 1 else _lessons_of(tutor, number),
            waiting=waiting if tutor == "pronunciation" else 0,
            errors=count,
            voice=_voice(number, SHARES.get(tutor, 0)),
        )
        for tutor, count in errors.items()
    }


def _lessons_of(tutor: str, number: int) -> int:
    if tutor not in SHARES:
        return 0
    share = SHARES[tutor]
    wave = math.sin(number / 17 + share) + 0.5 * math.sin(number / 5 + 2 * share)
    return round(share * (2.3 + 0.8 * wave + number / 360))


def _voice(number: int, share: int) -> dict[str, StageTotal]:
    """Return the totals of stages; each tutor has its share of the replies."""
    if number % 40 > 36:  # nobody speaks now and then
        return _voice(number - number % 40 + 36, share)
    replies, slow = number * share, max(0, number - BEGAN)
    means = {"hearing": 0.24, "turn": 0.31, "thinking": 0.38, "speaking": 0.19, "reply": 1.14}
    return {
        stage: StageTotal(mean * replies + slow * slow * 0.0015 * share * mean, replies)
        for stage, mean in means.items()
    }


@asynccontextmanager
async def serve_page(
    snapshot: Callable[[], HostSnapshot], tokens: Sequence[SecretStr] = (TOKEN,)
) -> AsyncIterator[str]:
    """Serve the ops address as the host does, and yield its URL."""
    app = build_app(lambda: OUTAGE, assess, snapshot, CollectorRegistry(), lambda: tokens)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"

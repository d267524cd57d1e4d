"""Memory of a host after many short lessons, which must not grow.

Run `uv run python -m tests.bench.many_lessons [lessons]`, 10,000 by default; prints a
line for each thousand, and fails if in the second half the process grew by more than 200 bytes a
lesson; fewer lessons are not judged, as caches still fill. The host's own parts are real: lessons,
reconciler, link, core, ledger (SQLite, encrypted), delivery, log, metrics. LiveKit, the API and
the jobs are not: each lesson is another learner's in another room, and says on the link what a job
would. Some crash, some are refused, some go on after a crash. Nothing instruments the process.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import generate_latest
from tests.unit.core.conftest import encrypt, jwt

from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import Ending, LessonReport, Progress, Word
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.clock import SystemClock
from loqua_host.core.runtime import Runtime
from loqua_host.errors import LinkError
from loqua_host.host_metrics import HostMetrics
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.lessons.services import Services
from loqua_host.lessons.tutors import TUTOR
from loqua_host.link.client import HostLink, open_link
from loqua_host.link.messages import (
    Checkpoint,
    Finish,
    HookTimed,
    Join,
    Recorded,
    Refused,
    VoiceTimed,
)
from loqua_host.link.server import JobRef, serve_link
from loqua_host.ops.logs import configure_logs
from loqua_host.records.database import database_at
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch, RoomCounts
from loqua_host.settings.host import HostSettings
from loqua_host.system.sockets import SocketHandle, listen_unnamed
from loqua_host.system.tasks import background
from loqua_host.testing.tutors import running_tutor

LESSONS = 10_000
AT_ONCE = 20
STEP = 1000
ENOUGH = 200
"""Bytes a lesson: what the process grows by without keeping anything, by its allocator's ways."""

CRASH_EVERY, REFUSE_EVERY = 50, 70
SECRET = "a-shared-secret-of-this-bench"
AGENT_ID = "agent"
TUTORS = {"conversation": running_tutor("conversation", "", AGENT_ID, AT_ONCE)}
SETTINGS = HostSettings.model_validate(
    {
        "agent_id": "loqua-host",
        "livekit": {"url": "ws://livekit"},
        "api": {"api_base_url": "http://api"},
        "environment": "development",
        "tutors": (),
        "lessons": {"reconnect_timeout": 1},
    }
)
TURNS = tuple(Utterance(speaker="learner", text=f"sentence {number}") for number in range(10))
WORDS = tuple(
    Word(word=f"palabra {number}", translation="word", language="es") for number in range(20)
)


async def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the Loqua API does, and keep nothing."""
    body = json.loads(request.content) if request.content else {}
    if request.url.path.endswith("/user-token"):
        life = 3600
        token = {
            "encrypted_token": encrypt(jwt(exp=time.time() + life), SECRET),
            "user_id": body["user_id"],
            "room_name": body["room_name"],
            "issued_to": body["agent_id"],
            "expires_in": life,
        }
        return httpx.Response(200, json=token)
    if request.url.path.endswith("/context"):
        sessions = [{"session_id": f"s{n}", "topics_covered": ["food"]} for n in range(10)]
        known = {"user_id": request.url.path.split("/")[-2], "session_history": sessions}
        return httpx.Response(200, json=known)
    taken = {"success": True, "permissions": ["user.progress", "session.create", "user.context"]}
    return httpx.Response(200, json=taken)


@dataclass
class InMemoryRooms:
    """LiveKit's rooms, in memory; agents come and go with their links."""

    people: dict[str, dict[str, Participant]] = field(default_factory=dict)
    called: list[tuple[str, Dispatch]] = field(default_factory=list)

    async def participants(self, room: str) -> list[Participant]:
        """List who is in a room."""
        return list(self.people.get(room, {}).values())

    async def counts(self) -> dict[str, RoomCounts]:
        """List the rooms."""
        return {room: RoomCounts(1, len(people)) for room, people in self.people.items()}

    async def dispatched(self, _room: str) -> list[Dispatch]:
        """List no dispatches: each comes at once."""
        return []

    async def withdraw(self, _room: str, _agent_name: str) -> list[Dispatch]:
        """Take none back."""
        return []

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        """Note whom the host calls; a room that is left meanwhile gets nobody."""
        self.called.append((room, dispatch))

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant."""
        self.people.get(room, {}).pop(identity, None)

    async def mark(self, *_: str) -> bool:
        """Take an attribute, and show it to nobody."""
        return True

    def enter(self, room: str, identity: str, kind: str, **attributes: str) -> None:
        """Enter a participant into a room."""
        one = Participant(identity, kind, "", attributes, False, time.time(), f"PA_{identity}")
        self.people.setdefault(room, {})[identity] = one


@dataclass
class InProcessHost:
    """The lessons, link, core and delivery of a host in this process."""

    lessons: Lessons
    rooms: InMemoryRooms
    delivery: Delivery
    metrics: HostMetrics
    link: SocketHandle
    jobs: dict[str, JobRef] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)

    async def lesson(self, number: int) -> None:
        """Play a lesson: a new learner enters a new room, is taught, and leaves."""
        room, user = f"room-{number}", f"user-{number}"
        known = {} if number % REFUSE_EVERY == 0 else {"user_id": user}
        self.rooms.enter(room, user, "standard", **known)
        if number % CRASH_EVERY == 0:
            await self._job(room, user, crashes=True)
        await self._job(room, user, crashes=False)
        del self.rooms.people[room]

    async def _job(self, room: str, user: str, *, crashes: bool) -> None:
        job = JobRef(f"job{next(self.numbers)}", room, "conversation")
        self.jobs[job.job_id] = job
        self.lessons.begin(job)
        self.rooms.enter(room, f"agent-{job.job_id}", "agent", **{TUTOR: job.tutor})
        async with open_link(self.link.path, job.job_id) as link:
            await link.send(Join(identity=user))
            if not isinstance(await link.receive(), Refused):
                await teach(link, crashes=crashes)
        del self.jobs[job.job_id]
        self.rooms.people[room].pop(f"agent-{job.job_id}", None)


async def teach(link: HostLink, *, crashes: bool) -> None:
    """Send the messages of a lesson's job, and wait for its record unless it crashes."""
    await link.send(HookTimed(hook="on_user_ready", after=0.1, seconds=0.1, failed=False))
    await link.send(VoiceTimed(stages={"reply": 1.0}))
    for words in (3, 7):
        progress = Progress(words_learned=words, grammar_points=("present_tense",))
        state = {"words": [word.word for word in WORDS]}
        await link.send(Checkpoint(seconds=0.0, progress=progress, state=state, turns=TURNS))
    if not crashes:
        report = LessonReport(topics_covered=("food",), new_vocabulary=WORDS)
        await link.send(Finish(ending=Ending(reason="done", seconds=0.0), report=report))
        while not isinstance(await link.receive(), Recorded):
            pass


def simulated_api(runtime: Runtime) -> AbstractAsyncContextManager[LoquaApi]:
    """Open the core on an API that answers in this process."""
    settings = CoreSettings(api_base_url="http://api", rate_limit=100_000)
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": "agent-jwt", "SHARED_SECRET": SECRET})
    return LoquaApi.open(settings, secrets, transport=httpx.MockTransport(answer), runtime=runtime)


@asynccontextmanager
async def deployment(
    directory: Path,
    ledger_url: str | None = None,
    open_api: Callable[[Runtime], AbstractAsyncContextManager[LoquaApi]] = simulated_api,
) -> AsyncIterator[InProcessHost]:
    """Yield a host that writes its log to a file, `log` in its directory.

    Args:
        directory: For its log and, without a URL, its ledger.
        ledger_url: The Postgres of its ledger.
        open_api: Opens the core.
    """
    rooms, dispatch_state, jobs = InMemoryRooms(), DispatchState(time.time), dict[str, JobRef]()

    def authorise(token: str, _pid: int) -> JobRef:
        if token not in jobs:
            raise LinkError("no such job")
        return jobs[token]

    async with AsyncExitStack() as stack:
        metrics = HostMetrics()
        metrics.instruments.add_tutors(TUTORS)
        log = stack.enter_context((directory / "log").open("w"))
        configure_logs("json", "info", log)
        api = await stack.enter_async_context(open_api(Runtime(metrics=metrics.api)))
        database = database_at(directory / "ledger.db", ledger_url)
        ledger = await stack.enter_async_context(Ledger.open(database, keys=[SECRET * 2]))
        tasks = await stack.enter_async_context(background())
        delivery = Delivery(ledger, api, clock=SystemClock(), metrics=metrics.delivery)
        tasks.create_task(delivery.run())
        services = Services(
            rooms=rooms,  # type: ignore[arg-type]  # in LiveKit's place
            api=api,
            ledger=ledger,
            delivery=delivery,
            dispatch_state=dispatch_state,
            tutors=TUTORS,
            settings=lambda: SETTINGS,
            tasks=tasks,
            clock=SystemClock(),
            metrics=metrics.lessons,
        )
        lessons = Lessons(services)
        capacity = Capacity(AT_ONCE, {"conversation": AT_ONCE})
        reconciler = Reconciler(services, lambda: capacity, lessons, lambda _: None)
        tasks.create_task(reconciler.run())
        listener, link = stack.enter_context(listen_unnamed())
        serving = serve_link(listener, authorise=authorise, serve=lessons.serve)
        await stack.enter_async_context(serving)
        yield InProcessHost(lessons, rooms, delivery, metrics, link, jobs)


def memory() -> dict[str, int]:
    """Return the bytes that this process has, its share of them, and those that no file has."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {name.lower(): kilobytes[name] * 1024 for name in ("Rss", "Pss", "Anonymous")}


async def run(lessons: int, print_progress: Callable[[dict[str, Any]], None]) -> float:
    """Teach, and return the bytes that each lesson of the second half left behind."""
    with tempfile.TemporaryDirectory() as directory:
        async with deployment(Path(directory)) as host:
            numbers = iter(range(1, lessons + 1))
            measured = {}
            for last in range(STEP, lessons + 1, STEP):
                begun = time.monotonic()
                await asyncio.gather(*(_some(host, numbers, last) for _ in range(AT_ONCE)))
                await host.delivery.wait_idle()
                await asyncio.sleep(1)
                host.rooms.called.clear()
                measured[last] = memory()
                shown = {name: round(size / 1e6, 1) for name, size in measured[last].items()}
                rate = round(STEP / (time.monotonic() - begun))
                series = generate_latest(host.metrics.registry).count(b"\n")
                print_progress({"lessons": last, **shown, "a_second": rate, "series": series})
    half = max((last for last in measured if last <= lessons // 2), default=STEP)
    return (measured[lessons]["anonymous"] - measured[half]["anonymous"]) / (lessons - half)


async def _some(host: InProcessHost, numbers: Any, last: int) -> None:
    for number in numbers:
        await host.lesson(number)
        if number >= last:
            return


def main() -> int:
    """Teach and judge."""
    lessons = int(sys.argv[1]) if len(sys.argv) > 1 else LESSONS

    def print_progress(figures: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()

    grown = asyncio.run(run(lessons, print_progress))
    print_progress({"bytes_a_lesson": round(grown), "enough": ENOUGH})
    return int(lessons >= LESSONS and grown > ENOUGH)


if __name__ == "__main__":
    os.environ.pop("XDG_RUNTIME_DIR", None)
    sys.exit(main())

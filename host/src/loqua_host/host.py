"""The host process: every room opened in order, and closed in reverse."""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from loqua_host.core import LoquaApi
from loqua_host.core.clock import SystemClock
from loqua_host.errors import RoomsError
from loqua_host.job.settings import JobSettings
from loqua_host.lessons.board import Board
from loqua_host.lessons.hints import Hints
from loqua_host.lessons.hosted import HostedTutor, LessonSettings
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.reconcile import Places
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.lessons.traces import Traces
from loqua_host.link.server import serve_link
from loqua_host.ops.health import assess
from loqua_host.ops.logbook import Logbook
from loqua_host.ops.metrics import Metrics
from loqua_host.ops.watch import Watch
from loqua_host.ops.web import build_app, serve_ops
from loqua_host.ops.webhooks import WEBHOOK, hear_livekit
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger
from loqua_host.records.retention import purge_regularly
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.tutors import TutorSettings, engine_secrets
from loqua_host.tasks import background
from loqua_host.workers.roster import Roster
from loqua_host.workers.supervisor import Supervisor
from loqua_host.workers.worker import LiveKitAccess, TutorWorker

__all__ = ["run_host"]

log = structlog.get_logger()

FLUSH_SECONDS = 10.0
"""How long the host waits at its end for the API to take what is owed; the rest stays."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is open for as long as the host runs."""

    settings: HostSettings
    secrets: HostSecrets
    api: LoquaApi
    rooms: Rooms
    ledger: Ledger
    delivery: Delivery
    board: Board
    roster: Roster
    tasks: asyncio.TaskGroup


async def run_host(
    settings: HostSettings,
    secrets: HostSecrets,
    stop: asyncio.Event,
    logbook: Logbook,
    metrics: Metrics,
    traces: Traces,
) -> None:
    """Run all enabled tutors until `stop` is set, then let lessons end and records leave.

    Args:
        settings: What runs, and how.
        secrets: The host's secrets.
        stop: Ends the host.
        logbook: What the log has told so far, for those who ask for health.
        metrics: The figures to expose.
        traces: What lessons are traced in.

    Raises:
        ConfigError: If a secret is missing.
        LedgerError: If the ledger cannot be opened.
    """
    async with _open_parts(settings, secrets) as parts:
        lessons = _open_lessons(parts)
        await lessons.recover()
        with _link_path(settings) as link:
            reconciler = _open_reconciler(parts, lessons)
            hints = _open_hints(parts, lessons)
            watch = _open_watch(parts, lessons, reconciler, logbook)
            attend = traces.attending(lessons.attend)
            async with (
                _operate(parts, hints, watch, logbook, metrics),
                serve_link(link, authorise=parts.roster.authorise, attend=attend),
                background() as tasks,
            ):
                supervisor = Supervisor(parts.roster, lessons.wrap_up, tasks, random.random)
                for worker in _workers(parts, secrets, lessons, link, traces):
                    supervisor.hire(worker)
                follow = partial(_follow_livekit_key, secrets, parts.rooms, supervisor)
                tasks.create_task(secrets.kept.watch(follow))
                await _serve(settings, supervisor, reconciler, lessons, stop)
        await _flush(parts.delivery)


@asynccontextmanager
async def _open_parts(settings: HostSettings, secrets: HostSecrets) -> AsyncIterator[_Parts]:
    """Open what lessons stand on, and begin what goes on behind them."""
    async with (
        LoquaApi.open(settings.api, secrets.kept) as api,
        _open_rooms(settings, secrets) as rooms,
        _open_ledger(settings, secrets) as ledger,
        background() as tasks,
    ):
        delivery = Delivery(ledger, api, clock=SystemClock())
        tasks.create_task(delivery.run())
        tasks.create_task(_purge(settings, ledger))
        board = Board(time.time)
        yield _Parts(settings, secrets, api, rooms, ledger, delivery, board, Roster(), tasks)


def _open_lessons(parts: _Parts) -> Lessons:
    return Lessons(
        rooms=parts.rooms,
        api=parts.api,
        ledger=parts.ledger,
        delivery=parts.delivery,
        tutors=parts.roster.tutors,
        settings=_lesson_settings(parts.settings),
        board=parts.board,
        tasks=parts.tasks,
        now=time.time,
    )


def _open_reconciler(parts: _Parts, lessons: Lessons) -> Reconciler:
    return Reconciler(
        rooms=parts.rooms,
        ledger=parts.ledger,
        board=parts.board,
        tutors=parts.roster.tutors,
        places=partial(_places, parts),
        see=lessons.see,
        close=lessons.close,
        return_grace=parts.settings.lessons.grace,
        now=time.time,
    )


def _open_hints(parts: _Parts, lessons: Lessons) -> Hints:
    return Hints(
        rooms=parts.rooms,
        board=parts.board,
        tutors=parts.roster.tutors,
        foresee=lessons.foresee,
        places=partial(_places, parts),
        tasks=parts.tasks,
    )


def _open_watch(parts: _Parts, lessons: Lessons, reconciler: Reconciler, logbook: Logbook) -> Watch:
    return Watch(
        logbook=logbook,
        workers=lambda: parts.roster.workers,
        lessons=lessons,
        waiting=reconciler.waiting,
        rooms=parts.rooms,
        api=parts.api,
        ledger=parts.ledger,
        ledger_path=parts.settings.ledger.path,
        clock=SystemClock(),
    )


async def _serve(
    settings: HostSettings,
    supervisor: Supervisor,
    reconciler: Reconciler,
    lessons: Lessons,
    stop: asyncio.Event,
) -> None:
    """Take jobs until `stop`, then let the running lessons end within the drain time."""
    async with background() as tasks:
        reconciling = tasks.create_task(_reconcile(supervisor, reconciler))
        await stop.wait()
        log.info("host.draining", seconds=settings.lessons.drain)
        reconciling.cancel()
        async with asyncio.TaskGroup() as ending:
            ending.create_task(supervisor.stop("host_stopping", settings.lessons.drain))
            ending.create_task(lessons.give_up("host_stopping"))


@asynccontextmanager
async def _operate(
    parts: _Parts, hints: Hints, watch: Watch, logbook: Logbook, metrics: Metrics
) -> AsyncIterator[None]:
    """Answer operators, and hear LiveKit, for the length of a block."""
    settings, secrets = parts.settings, parts.secrets
    judge = partial(assess, jwt_warn_before=settings.api.agent_token_warn_before)
    metrics.expect(tutor.name for tutor in settings.enabled_tutors)
    metrics.watch(watch.look, judge)
    app = build_app(watch.look, judge, metrics.registry, logbook, secrets.ops_tokens)
    app.router.add_post(WEBHOOK, hear_livekit(secrets.livekit_keys, hints.heed))
    async with serve_ops(settings.ops, app), background() as tasks:
        tasks.create_task(watch.run())
        yield


async def _reconcile(supervisor: Supervisor, reconciler: Reconciler) -> None:
    """Begin once the workers are registered: a call that nobody can take is lost."""
    await supervisor.registered()
    log.info("host.ready")
    await reconciler.run()


async def _follow_livekit_key(secrets: HostSecrets, rooms: Rooms, supervisor: Supervisor) -> None:
    """Have everybody use LiveKit's key as it was last seen, once LiveKit takes it."""
    key = secrets.livekit()
    if key == rooms.key:
        return
    try:
        await rooms.adopt(key)
    except RoomsError as error:
        mend = "add the new key to LiveKit's keys: and have both of its parts where secrets are"
        log.warning("livekit.key_refused", why=str(error), mend=mend)
        return
    supervisor.adopt(key)
    log.info("livekit.key_adopted")


async def _flush(delivery: Delivery) -> None:
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await delivery.idle()
    except TimeoutError:
        log.warning("host.records_left", mend="they stay in the ledger for the next start")


def _workers(
    parts: _Parts, secrets: HostSecrets, lessons: Lessons, link: Path, traces: Traces
) -> Iterator[TutorWorker]:
    settings = parts.settings
    access = LiveKitAccess(settings.livekit.url, secrets.livekit())
    for tutor in settings.enabled_tutors:
        yield TutorWorker(
            _host(tutor, settings, secrets),
            _job_settings(tutor, settings, link, traced=traces.on),
            access,
            is_full=partial(_is_full, parts, tutor.name),
            on_accept=traces.accepting(lessons.begin),
        )


def _is_full(parts: _Parts, tutor: str) -> bool:
    return not _places(parts).has(tutor)


def _places(parts: _Parts) -> Places:
    roster = parts.roster
    return Places(parts.settings.lessons.max_lessons - roster.busy, roster.places())


def _open_rooms(settings: HostSettings, secrets: HostSecrets) -> AbstractAsyncContextManager[Rooms]:
    return Rooms.open(settings.livekit.url, secrets.livekit())


def _open_ledger(
    settings: HostSettings, secrets: HostSecrets
) -> AbstractAsyncContextManager[Ledger]:
    keys = [key.get_secret_value() for key in secrets.ledger]
    if not keys:
        log.warning("ledger.unsealed", mend="set LEDGER_KEY, which production asks for")
    return Ledger.open(settings.ledger.path, keys=keys)


async def _purge(settings: HostSettings, ledger: Ledger) -> None:
    await purge_regularly(
        ledger,
        keep_delivered=timedelta(days=settings.ledger.keep_delivered_days),
        keep_dead=timedelta(days=settings.ledger.keep_dead_days),
        clock=SystemClock(),
    )


@contextmanager
def _link_path(settings: HostSettings) -> Iterator[Path]:
    """Give the path of the socket that jobs meet the host at."""
    if settings.link.directory is not None:
        yield settings.link.directory / "host.sock"
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="loqua-", dir=runtime) as directory:
        yield Path(directory) / "host.sock"


def _host(tutor: TutorSettings, settings: HostSettings, secrets: HostSecrets) -> HostedTutor:
    names = tutor.secret_names | engine_secrets(settings.engines_for(tutor))
    return HostedTutor(
        name=tutor.name,
        agent_name=tutor.agent_name or "",
        agent_id=settings.agent_id_for(tutor),
        max_jobs=tutor.max_concurrent_jobs,
        secrets=secrets.grant(names),
    )


def _job_settings(
    tutor: TutorSettings, settings: HostSettings, link: Path, *, traced: bool
) -> JobSettings:
    return JobSettings(
        tutor=tutor.name,
        plugin=tutor.plugin,
        agent=tutor.agent,
        automatic=tutor.worker_type == "automatic",
        specialists=_specialists(settings),
        settings=tutor.settings,
        engines=settings.engines_for(tutor),
        limits=settings.lessons.limits,
        link=str(link),
        learner_timeout=settings.lessons.learner_timeout,
        tick_every=settings.lessons.tick_every,
        failing_ticks=settings.lessons.failing_ticks,
        grace=settings.lessons.grace,
        ask_after=settings.lessons.ask_after,
        end_after=settings.lessons.end_after,
        longest=settings.lessons.longest,
        sentences=settings.sentences,
        traced=traced,
    )


def _specialists(settings: HostSettings) -> frozenset[str]:
    return frozenset(one.agent_name for one in settings.enabled_tutors if one.agent_name)


def _lesson_settings(settings: HostSettings) -> LessonSettings:
    return LessonSettings(
        learner_timeout=settings.lessons.learner_timeout,
        health_every=settings.lessons.health_every,
        default_language="en",
        apologies=settings.apologies,
        records=settings.records,
    )

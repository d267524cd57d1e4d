"""The host process: starts all services in order, and stops them in reverse."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from loqua_host.announcements.announcer import AnnouncementVoice, Announcer, Player, Sounds
from loqua_host.announcements.synthesis import synthesise
from loqua_host.capacity.admission import Headroom
from loqua_host.capacity.capacity import CapacityMonitor
from loqua_host.capacity.machine import Machine
from loqua_host.configuration.configuration import Configuration, Configured, PluginVersions
from loqua_host.configuration.reload import Reload, Running
from loqua_host.configuration.rotation import Rotation
from loqua_host.core import LoquaApi
from loqua_host.core.clock import Clock, SystemClock
from loqua_host.core.runtime import Runtime
from loqua_host.host_metrics import HostMetrics
from loqua_host.job.process import run_in_sandbox
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.lessons.recovery import maintain_lease, recover
from loqua_host.lessons.regions import RegionWatch
from loqua_host.lessons.services import Services
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.lessons.webhook_events import WebhookEvents
from loqua_host.link.ipc import patch_ipc
from loqua_host.link.probe import JobProbe
from loqua_host.link.server import serve_link
from loqua_host.livekit_internals import patch_workers, run_jobs_by
from loqua_host.ops.drain import DRAIN, Drain, receive_drain
from loqua_host.ops.health import assess
from loqua_host.ops.history import History, Sample
from loqua_host.ops.job_log_limit import JobLogLimit
from loqua_host.ops.logs import limit_job_logs
from loqua_host.ops.recent_errors import RecentErrors
from loqua_host.ops.snapshot import HostSnapshot, take_snapshot
from loqua_host.ops.status import Phase
from loqua_host.ops.tls import ServedCertificate
from loqua_host.ops.watch import Watch, Watched
from loqua_host.ops.web import build_app, serve_ops
from loqua_host.ops.webhooks import WEBHOOK, receive_webhook
from loqua_host.records.captures import Captures
from loqua_host.records.database import database_at
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Ledger
from loqua_host.records.retention import purge_regularly
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.host import Environment, HostSettings
from loqua_host.settings.sandbox import TutorLimits
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.tutors import engine_secrets
from loqua_host.system.installed import RUNNING, installed_over
from loqua_host.system.sockets import SocketHandle, listen_unnamed, temporary_directory
from loqua_host.system.tasks import first_of, forever, supervised
from loqua_host.workers.limits import LimitWatch, kill_job, read_usage
from loqua_host.workers.registry import WorkerRegistry
from loqua_host.workers.supervisor import Supervisor
from loqua_host.workers.tutors import running_tutors
from loqua_host.workers.worker import JobCallbacks, LiveKitAccess, TutorWorker

__all__ = ["Signals", "run_host"]

log = structlog.get_logger()

STOPPING = "host_stopping"
"""The reason for lessons that are cut off at the end of `lessons.drain_timeout`."""

FLUSH_SECONDS = 10.0
"""Seconds that the host waits at its end for the outbox to be delivered; the rest stays in it."""


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals to the host: stop, stop at once, reload config/."""

    stop: asyncio.Event
    force_stop: asyncio.Event
    reload: asyncio.Event


@dataclass(slots=True)
class _Lifecycle:
    """The host's current phase."""

    phase: Phase = Phase.STARTING


@dataclass(frozen=True, slots=True)
class _Parts:
    """The resources that are open while the host runs."""

    lifecycle: _Lifecycle
    metrics: HostMetrics
    running: Running
    services: Services
    registry: WorkerRegistry
    lessons: Lessons
    machine: Machine
    capacity: CapacityMonitor
    regions: RegionWatch | None


async def run_host(
    configuration: Configuration,
    configured: Configured,
    signals: Signals,
    recent_errors: RecentErrors,
    *,
    traced: bool,
) -> None:
    """Run all enabled tutors until a stop signal, then let lessons end and deliver records.

    Args:
        configuration: The configuration, whose changes are applied.
        configured: The configuration at the start.
        signals: The signals from outside the process.
        recent_errors: What went wrong lately, for the status page.
        traced: Whether lessons are traced.

    Raises:
        ConfigError: If a secret is missing.
        LedgerError: If the ledger cannot be opened.
    """
    patch_ipc()
    patch_workers()
    run_jobs_by(run_in_sandbox)
    settings, secrets = configured.sound, configured.secrets
    async with _open_parts(settings, secrets) as parts:
        if parts.regions is not None:
            await parts.regions.follow()
        await recover(parts.services)
        with listen_unnamed() as (listener, link), temporary_directory() as temporary:
            announcer = _open_announcer(parts)
            reconciler = Reconciler(
                parts.services, partial(_capacity, parts), parts.lessons, announcer.say
            )
            webhooks = WebhookEvents(
                parts.services, parts.lessons.prefetch, partial(_capacity, parts)
            )
            async with (
                serve_link(listener, authorise=parts.registry.authorise, serve=parts.lessons.serve),
                supervised() as tasks,
            ):
                supervisor = Supervisor(
                    parts.registry, parts.lessons, tasks, random.random, parts.metrics.workers
                )
                rotation = Rotation(secrets, parts.services, supervisor)
                tasks.create_task(forever(partial(secrets.cache.watch, rotation.follow)))
                _limit_jobs(parts, tasks)
                workers = _Workers(parts, announcer, link, temporary, traced)
                reload = Reload(configuration, configured, parts.running, supervisor, workers)
                certificate = _certificate(settings, parts.services.clock)
                watch = _open_watch(
                    parts, reconciler, rotation, reload, certificate, JobProbe(link)
                )
                drain = Drain()
                async with _operate(parts, webhooks, watch, certificate, recent_errors, drain):
                    await reload.start_all()
                    await _serve(parts, supervisor, reconciler, reload, signals, drain)
        await _flush(parts.services.delivery, 0 if signals.force_stop.is_set() else FLUSH_SECONDS)


@asynccontextmanager
async def _open_parts(settings: HostSettings, secrets: HostSecrets) -> AsyncIterator[_Parts]:
    """Open the services of lessons, and start the background tasks."""
    metrics, clock = HostMetrics(), SystemClock()
    async with (
        LoquaApi.open(
            settings.api, secrets.cache, runtime=Runtime(clock=clock, metrics=metrics.api)
        ) as api,
        _open_rooms(settings, secrets) as rooms,
        _open_ledger(settings, secrets) as ledger,
        supervised() as tasks,
    ):
        delivery = Delivery(ledger, api, clock=clock, metrics=metrics.delivery)
        tasks.create_task(forever(delivery.run))
        tasks.create_task(forever(partial(_purge, settings, ledger, clock)))
        registry = WorkerRegistry()
        dispatch_state = DispatchState(clock.monotonic, registry.departure_of)
        running = Running(settings, secrets)
        services = Services(
            rooms=rooms,
            api=api,
            ledger=ledger,
            delivery=delivery,
            dispatch_state=dispatch_state,
            tutors=registry.tutors,
            settings=lambda: running.settings,
            tasks=tasks,
            clock=clock,
            metrics=metrics.lessons,
        )
        lifecycle = _Lifecycle()
        regions = None
        if settings.regions is not None:
            ready = partial(_could_teach, lifecycle, registry)
            regions = RegionWatch(settings.regions, ledger, dispatch_state, clock, ready)
        tasks.create_task(forever(partial(maintain_lease, services, regions)))
        lessons = Lessons(services)
        machine = Machine()
        capacity = CapacityMonitor(
            machine.usage, lambda: dict(registry.jobs()), lessons.late, clock
        )
        tasks.create_task(forever(capacity.run))
        yield _Parts(
            lifecycle,
            metrics,
            running,
            services,
            registry,
            lessons,
            machine,
            capacity,
            regions,
        )


def _could_teach(lifecycle: _Lifecycle, registry: WorkerRegistry) -> bool:
    """Return whether the host serves, and LiveKit has a worker of each of its tutors."""
    served = (any(one.online for one in registry.serving(it)) for it in registry.tutors)
    return lifecycle.phase is Phase.SERVING and all(served)


def _limit_jobs(parts: _Parts, tasks: asyncio.TaskGroup) -> None:
    """Limit what jobs log, and what their processes use."""
    clock = parts.services.clock
    limit_job_logs(JobLogLimit(partial(_log_limit, parts.registry), clock.monotonic))
    limits = LimitWatch(lambda: parts.registry.workers, read_usage, kill_job, clock)
    tasks.create_task(forever(limits.run))


def _log_limit(registry: WorkerRegistry, job_id: str | None) -> int:
    tutor = registry.tutors.get(dict(registry.jobs()).get(job_id or "", ""))
    return (tutor.job.tutor.limits if tutor else TutorLimits()).log


def _open_announcer(parts: _Parts) -> Announcer:
    return Announcer(
        rooms=parts.services.rooms,
        voices=_Voices(parts),
        sounds=Sounds(synthesise, parts.services.tasks),
        player=Player(parts.services.tasks),
        tasks=parts.services.tasks,
    )


@dataclass(frozen=True, slots=True)
class _Voices:
    """Find the voice of a tutor for which a learner waits."""

    parts: _Parts

    def voice_of(self, tutor: str) -> AnnouncementVoice | None:
        found = self.parts.running.tutors.get(tutor)
        return _voice(found) if found and tutor in self.parts.registry.tutors else None

    async def language_for(self, room: str, tutor: str, identity: str) -> str:
        return await self.parts.lessons.language_for(room, tutor, identity)


def _voice(tutor: RunningTutor) -> AnnouncementVoice:
    engines = tutor.job.engines
    secrets = {name: tutor.secrets[name] for name in engine_secrets(engines) & tutor.secrets.keys()}
    return AnnouncementVoice(tutor.language, engines, secrets, tutor.job.messages.tutors_busy)


def _certificate(settings: HostSettings, clock: Clock) -> ServedCertificate | None:
    return ServedCertificate(settings.ops.tls, clock) if settings.ops.tls else None


def _open_watch(  # the parts from which health is read
    parts: _Parts,
    reconciler: Reconciler,
    rotation: Rotation,
    reload: Reload,
    certificate: ServedCertificate | None,
    jobs: JobProbe,
) -> Watch:
    watched = Watched(
        phase=lambda: parts.lifecycle.phase,
        stale_config=lambda: reload.stale_config,
        refused_key=lambda: rotation.refused_key,
        certificate_left=certificate.seconds_left if certificate else lambda: None,
        secret_failures=lambda: parts.running.secrets.cache.failures,
        workers=lambda: parts.registry.workers,
        lessons=parts.lessons,
        headroom=partial(_headroom, parts),
        usage=parts.machine.usage,
        waiting=reconciler.waiting,
        rooms=parts.services.rooms,
        api=parts.services.api,
        ledger=parts.services.ledger,
        jobs=jobs.run,
        local_state=parts.running.settings.ledger.spool_directory,
        regions=parts.regions,
    )
    return Watch(watched, parts.services.clock)


async def _serve(
    parts: _Parts,
    supervisor: Supervisor,
    reconciler: Reconciler,
    reload: Reload,
    signals: Signals,
    drain: Drain,
) -> None:
    """Accept jobs until a drain or stop signal, then let the running lessons end.

    A drain leaves them their own time; a stop, also during a drain, `lessons.drain_timeout`. Their
    rooms are watched until the last has ended.
    """
    async with supervised() as tasks:
        tasks.create_task(_reconcile(parts.lifecycle, supervisor, reconciler))
        async with supervised() as following:
            following.create_task(forever(partial(reload.run, signals.reload)))
            await first_of(signals.stop, drain.requested)
        limits = parts.running.settings.lessons
        parts.lifecycle.phase = Phase.DRAINING
        parts.lessons.withdraw()
        tasks.create_task(_force_stop(supervisor, signals.force_stop))
        if not signals.stop.is_set():
            # No lesson lasts longer, so that none is cut off.
            tasks.create_task(_drain(supervisor, limits.max_duration, drain))
            await signals.stop.wait()
        log.info("host.draining", seconds=limits.drain_timeout)
        await supervisor.stop(STOPPING, limits.drain_timeout)


async def _drain(supervisor: Supervisor, seconds: float, drain: Drain) -> None:
    """Drain all workers; the host keeps running without them until a stop signal."""
    log.info("host.draining", seconds=seconds)
    await supervisor.stop(STOPPING, seconds)
    log.info("host.drained")
    drain.done.set()


async def _force_stop(supervisor: Supervisor, force_stop: asyncio.Event) -> None:
    """Stop lessons immediately on request; the next start resumes them."""
    await force_stop.wait()
    log.warning("host.force_stopped")
    await supervisor.stop(STOPPING, 0)


@asynccontextmanager
async def _operate(
    parts: _Parts,
    webhooks: WebhookEvents,
    watch: Watch,
    certificate: ServedCertificate | None,
    recent_errors: RecentErrors,
    drain: Drain,
) -> AsyncIterator[None]:
    """Serve the ops address and LiveKit's webhooks for the duration of a block."""
    settings, secrets = parts.running.settings, parts.running.secrets
    judge = partial(assess, jwt_warn_before=settings.api.agent_token_warn_before)
    metrics = parts.metrics
    metrics.watch(watch.look, judge)
    history = History(partial(_samples, watch, metrics, recent_errors), parts.services.clock)

    def snapshot() -> HostSnapshot:
        status = watch.look()
        errors = recent_errors.newest_first()
        return take_snapshot(status, judge(status), errors, history.hours())

    app = build_app(watch.look, judge, snapshot, metrics.registry, secrets.ops_tokens)
    app.router.add_post(DRAIN, receive_drain(secrets.ops_tokens, drain))
    app.router.add_post(WEBHOOK, receive_webhook(secrets.livekit_keys, webhooks.handle))
    async with serve_ops(settings.ops, app, certificate), supervised() as tasks:
        tasks.create_task(forever(watch.run))
        tasks.create_task(forever(history.run))
        yield


def _samples(
    watch: Watch, metrics: HostMetrics, recent_errors: RecentErrors
) -> Mapping[str, Sample]:
    status = watch.look()
    lessons = Counter(lesson.tutor for lesson in status.lessons)
    waiting = Counter(wait.tutor for wait in status.waiting)
    errors, voice = recent_errors.totals, metrics.lessons.voice_totals()
    return {
        tutor: Sample(lessons[tutor], waiting[tutor], errors[tutor], voice.get(tutor, {}))
        for tutor in {*lessons, *waiting, *errors, *voice}
    }


async def _reconcile(lifecycle: _Lifecycle, supervisor: Supervisor, reconciler: Reconciler) -> None:
    """Reconcile once the workers are registered: a dispatch without a worker is lost."""
    await supervisor.registered()
    lifecycle.phase = Phase.SERVING
    log.info("host.ready")
    await forever(reconciler.run)


async def _flush(delivery: Delivery, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await delivery.wait_idle()
    except TimeoutError:
        log.warning("host.records_pending", hint="they stay in the ledger for the next start")


@dataclass(frozen=True, slots=True)
class _Workers:
    """Create the tutors to run and their workers."""

    parts: _Parts
    announcer: Announcer
    link: SocketHandle
    temporary: Path
    traced: bool

    def running_tutors(
        self, settings: HostSettings, secrets: HostSecrets, versions: PluginVersions
    ) -> dict[str, RunningTutor]:
        return running_tutors(
            settings,
            secrets,
            versions,
            link=self.link,
            temporary=self.temporary,
            traced=self.traced,
        )

    def build_worker(self, tutor: RunningTutor) -> TutorWorker:
        parts = self.parts
        parts.metrics.instruments.add_tutors([tutor.name])
        self.announcer.prepare(_voice(tutor))
        return TutorWorker(
            tutor,
            LiveKitAccess(parts.running.settings.livekit.url, parts.services.rooms.key),
            JobCallbacks(
                is_full=partial(_is_full, parts, tutor.name),
                is_elsewhere=partial(_is_elsewhere, parts, tutor.name),
                on_accept=parts.lessons.begin,
                on_full=partial(parts.services.dispatch_state.on_full, tutor=tutor.name),
                on_end=parts.lessons.end,
            ),
            parts.metrics.workers,
        )


def _is_elsewhere(parts: _Parts, tutor: str, room: str) -> bool:
    services = parts.services
    if (other := installed_over()) is not None:
        log.error("host.installed_over", running=RUNNING, installed=other, hint="restart the host")
        return True
    if services.dispatch_state.shared and not services.ledger.responsive:
        return True  # another host may reach the ledger, without which no lesson starts
    return services.dispatch_state.is_elsewhere(room, tutor)


def _is_full(parts: _Parts, tutor: str, room: str) -> bool:
    dispatch_state = parts.services.dispatch_state
    capacity = _capacity(parts).reserve(dispatch_state.ahead_of(room, tutor))
    return not capacity.fits(tutor, goes_on=dispatch_state.goes_on(room, tutor))


def _capacity(parts: _Parts) -> Capacity:
    ending = tuple(
        tutor for job, tutor in parts.registry.jobs() if parts.services.dispatch_state.is_over(job)
    )
    measured = parts.running.settings.lessons.max_lessons == "auto"
    return Capacity(
        _headroom(parts).lessons, parts.registry.job_limits(), ending, measured=measured
    )


def _headroom(parts: _Parts) -> Headroom:
    """Return how many more lessons this host takes, by its configuration or by what it can."""
    most = parts.running.settings.lessons.max_lessons
    if most == "auto":
        return parts.capacity.headroom()
    return Headroom(most - parts.registry.busy, "max_lessons")


def _open_rooms(settings: HostSettings, secrets: HostSecrets) -> AbstractAsyncContextManager[Rooms]:
    return Rooms.open(settings.livekit.url, secrets.livekit())


def _open_ledger(
    settings: HostSettings, secrets: HostSecrets
) -> AbstractAsyncContextManager[Ledger]:
    keys = secrets.ledger.open_keys()
    if not keys:
        log.warning("ledger.unencrypted", hint="set LEDGER_KEY, which production requires")
    database = database_at(settings.ledger.path, secrets.ledger.open_url())
    return Ledger.open(
        database,
        keys=keys,
        plaintext=settings.environment is not Environment.PRODUCTION,
        spool=settings.ledger.spool_directory,
    )


async def _purge(settings: HostSettings, ledger: Ledger, clock: Clock) -> None:
    directory = settings.ledger.captures
    await purge_regularly(
        ledger,
        keep_delivered=timedelta(days=settings.ledger.keep_delivered_days),
        keep_dead=timedelta(days=settings.ledger.keep_dead_days),
        keep_unknown=timedelta(days=settings.ledger.keep_unknown_days),
        captures=Captures(directory, ledger.keys) if directory else None,
        clock=clock,
    )

"""Prometheus gauges that read the host's status at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loqua_host.core.breaker import BreakerState

from .health import Health, HealthState
from .status import HostStatus

__all__ = ["StatusCollector"]


class StatusCollector(Collector):
    """Collect gauges from the host's status at each scrape."""

    def __init__(
        self, look: Callable[[], HostStatus], judge: Callable[[HostStatus], Health]
    ) -> None:
        self._look = look
        self._judge = judge

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        status = self._look()
        health = self._judge(status)
        order = list(HealthState)
        yield _gauge("ready", "Whether new lessons should come here", health.ready)
        help_text = "Whether the running configuration is the one in config/"
        yield _gauge("config_current", help_text, status.stale_config is None)
        help_text = "Whether the LiveKit key in use is the current secret"
        yield _gauge("livekit_key_current", help_text, status.refused_key is None)
        levels = (((level.name,), order.index(level.state)) for level in health.levels)
        yield _family("health", "0 ok, 1 degraded, 2 failed", ("level",), levels)
        yield from _resources(status)
        yield from _teaching(status)
        yield from _backlog(status)
        yield from _regions(status)
        states = (
            ((name,), one.breaker is not BreakerState.CLOSED)
            for name, one in status.endpoints.items()
        )
        yield _family("breaker_open", "0 while calls go out", ("endpoint",), states)


def _resources(status: HostStatus) -> Iterator[Metric]:
    yield _gauge("event_loop_lag_seconds", "Longest delay of the event loop lately", status.lag)
    yield _gauge("memory_used_ratio", "Share of the memory in use", status.memory)
    starts = status.forkserver and not (status.jobs and status.jobs.failure)
    yield _gauge("forkserver_up", "Whether jobs can be started", starts)
    yield _gauge("cpu_load_ratio", "Runnable processes per CPU, last minute", status.cpu_load)
    yield _gauge("disk_free_ratio", "Free share of the ledger's disk", status.disk_free)
    if status.certificate_left is not None:
        help_text = "Time until the certificate of the ops address expires"
        yield _gauge("ops_certificate_seconds_left", help_text, status.certificate_left)
    help_text = "Time the ledger's connection was in use"
    yield CounterMetricFamily("loqua_ledger_busy_seconds", help_text, value=status.ledger_busy)
    help_text = "Work items that the ledger's database failed"
    yield CounterMetricFamily("loqua_ledger_failures", help_text, value=status.ledger_failures)
    help_text = "Look-ups of secrets that failed"
    yield CounterMetricFamily("loqua_secret_failures", help_text, value=status.secret_failures)


def _teaching(status: HostStatus) -> Iterator[Metric]:
    workers = status.workers
    online = (((one.tutor,), one.online) for one in workers)
    yield _family("worker_online", "Whether LiveKit has the worker", ("tutor",), online)
    busy = (((one.tutor,), one.busy) for one in workers)
    yield _family("worker_jobs", "Jobs that run", ("tutor",), busy)
    places = (((one.tutor,), one.places) for one in workers)
    yield _family("worker_max_jobs", "Jobs that may run", ("tutor",), places)
    help_text = "Lessons that the host can accept in addition to the running ones"
    yield _gauge("lessons_free", help_text, max(0, status.headroom.lessons))
    lessons = Counter({(one.tutor, "full"): 0 for one in workers})
    lessons.update((one.tutor, one.mode) for one in status.lessons)
    yield _family("lessons_live", "Lessons that run", ("tutor", "mode"), lessons.items())
    served = Counter(
        (one.tutor, kind, str(index))
        for one in status.lessons
        for kind, index in one.engines.items()
    )
    help_text = "Lessons by the serving engine of a fallback list"
    yield _family("engine_lessons", help_text, ("tutor", "kind", "index"), served.items())
    yield _gauge("learners_waiting", "Learners waiting for a tutor", len(status.waiting))
    yield _gauge("learner_longest_wait_seconds", "The longest of their waits", status.longest_wait)


def _backlog(status: HostStatus) -> Iterator[Metric]:
    backlog = status.backlog
    oldest = 0.0 if backlog.oldest is None else max(0.0, status.unix - backlog.oldest)
    yield _gauge("outbox_pending", "Records the API does not have yet", backlog.records)
    yield _gauge("record_oldest_seconds", "Age of the oldest of them", oldest)
    yield _gauge("progress_pending", "Progress updates not delivered yet", backlog.progress)
    yield _gauge("spool_entries", "Notes of lessons that wait for the ledger", status.spooled)
    yield _gauge("outbox_dead_letters", "Rows that the API refused for good", backlog.dead)
    yield from _api_version(status)
    if status.agent_jwt_left is not None:
        left = status.agent_jwt_left
        yield _gauge("agent_jwt_seconds_left", "Life left in AGENT_JWT_TOKEN", left)
    if status.user_token_left is not None:
        left = status.user_token_left
        yield _gauge("user_token_seconds_left", "Minimum time until a user token expires", left)


def _api_version(status: HostStatus) -> Iterator[Metric]:
    spoken, label = status.api_version, ("version",)
    help_text = "Whether the API has announced the end of the version in use"
    yield _family(
        "api_version_deprecated", help_text, label, [((spoken.version,), spoken.deprecated)]
    )
    if spoken.sunset is not None:
        help_text, left = "Time until the API stops serving it", spoken.sunset - status.unix
        yield _family("api_version_seconds_left", help_text, label, [((spoken.version,), left)])


def _regions(status: HostStatus) -> Iterator[Metric]:
    if status.regions is None or status.region_state is None:
        return
    names, state = (status.regions.primary, status.regions.secondary), status.region_state
    active = (((name,), name == state.active) for name in names)
    yield _family("region_active", "Whether this region teaches", ("region",), active)
    ready = (((name,), state.ready_hosts.get(name, 0)) for name in names)
    yield _family("region_ready_hosts", "Hosts that could teach", ("region",), ready)
    failed_over = state.active != status.regions.primary
    yield _gauge("region_failed_over", "Whether the secondary region teaches", failed_over)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"loqua_{name}", help_text, value=float(value))


def _family(
    name: str,
    help_text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(f"loqua_{name}", help_text, labels=labels)
    for key, value in values:
        family.add_metric(key, float(value))
    return family

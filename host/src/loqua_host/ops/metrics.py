"""The host's figures for Prometheus, counted from its own log events; one process, one registry.

What each figure means is in config/prometheus/README.md. No label holds a learner or a lesson.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import product
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import Mode
from loqua_host.core.events import Event
from loqua_host.core.tokens import TokenCause
from loqua_host.link.messages import ENGINE_KINDS, Hook, Stage

from .gauges import SightCollector
from .health import Health
from .sight import Sight

__all__ = ["Metrics"]

Fields = Mapping[str, object]
Count = Callable[[Fields], None]

READY_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60)
CALLBACK = "callback"
"""What counts as a hook: the tutor's code outside its hooks, callbacks of its agent for one."""

API_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10)
LESSON_BUCKETS = (30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400)

TIMED_AT_ONCE = 10_000

Labels = Sequence[tuple[str, ...]]

ENDPOINTS: Final = ("user-token", "context", "progress", "sessions", "health")
ANSWERS: Final = {
    "ok": ("200",),
    "RefusedError": ("400", "401", "403", "404"),
    "UnreachableError": ("none", "429", "500", "502", "503", "504"),
    "cancelled": ("none",),
}
"""Outcomes of an attempt at the API, with the statuses they usually have."""

HOOKS: Final = get_args(Hook)
STAGES: Final = get_args(Stage)
MODES: Final = tuple(Mode)
SERVING: Final = ("first", "fallback")
"""What of a list an engine is that takes over."""
HANDOFFS: Final = get_args(Handback.model_fields["outcome"].annotation)
SOURCES: Final = ("api", "cache", "remnant", "nowhere")
GIVEN_UP: Final = ("crash_loop", "learner_left", "tutor_disabled")
CAUSES: Final = (
    *("already_taught", "bad_user_id", "crash_loop", "ledger_unusable", "livekit_unreachable"),
    *("no_learner", "no_user_id", "self_written_attributes"),
    *TokenCause,
    *(f"{endpoint}_refused" for endpoint in ENDPOINTS),
)
"""Why lessons are refused; others than these begin to count when they are first seen."""


class Metrics:
    """Observes events and counts them.

    Args:
        monotonic: A clock that never steps, in seconds.

    Attributes:
        registry: What is exposed.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._by_tutor: list[tuple[Counter | Histogram, Labels]] = []
        self._calls = _Stopwatches(monotonic)
        self._losses = _Stopwatches(monotonic)
        self._opened = _Recent()
        self._resumed = _Recent()
        self._ready = self._histogram(
            "lesson_ready_seconds", "From an accepted job to its tutor", READY_BUCKETS, "tutor"
        )
        self._restored = self._histogram(
            "lesson_restore_seconds", "From a lost tutor to the next", READY_BUCKETS, "tutor"
        )
        self._taught = self._histogram(
            "lesson_engagement_seconds", "Time taught of ended lessons", LESSON_BUCKETS, "tutor"
        )
        self._answered = self._histogram(
            "api_call_seconds", "Time of one attempt at the API", API_BUCKETS, endpoint=ENDPOINTS
        )
        self._voice = self._histogram(
            "voice_seconds", "What a reply's stages took", API_BUCKETS, "tutor", stage=STAGES
        )
        self._api_calls = self._counter(
            "api_calls", "Attempts at the API", "endpoint", "outcome", "status"
        )
        for endpoint, (outcome, statuses) in product(ENDPOINTS, ANSWERS.items()):
            for status in statuses:
                self._api_calls.labels(endpoint, outcome, status)
        self._retries = self._counter("api_retries", "Attempts after the first", endpoint=ENDPOINTS)
        self._achieved = self._counter(
            "lesson_objectives", "Ended lessons with an achievement", "tutor"
        )
        self._hooked = self._histogram(
            "hook_seconds", "Time of one call of a tutor's hook", API_BUCKETS, "tutor", hook=HOOKS
        )
        self._hooks_failed = self._counter(
            "hook_failures", "Calls of a hook that failed", "tutor", hook=(*HOOKS, CALLBACK)
        )
        self._ended = self._counter(
            "lessons_ended", "Lessons with a record", "tutor", outcome=("completed", "failed")
        )
        self._given_up = self._counter(
            "lessons_given_up", "Lessons not restored", "tutor", why=GIVEN_UP
        )
        self._not_taken = self._counter(
            "jobs_refused", "Jobs not taken", "tutor", why=("full", "leaving")
        )
        self._switched = self._counter(
            "engine_switches",
            "Lessons that another engine serves",
            "tutor",
            kind=ENGINE_KINDS,
            to=SERVING,
        )
        self._handoffs = self._counter(
            "handoffs", "Calls for specialists", "tutor", outcome=HANDOFFS
        )
        self._counts = self._table()

    def __call__(self, event: Event) -> None:
        """Count one event, if it counts."""
        for count in self._counts.get(event.name, ()):
            count(event.fields)

    def expect(self, tutors: Iterable[str]) -> None:
        """Begin all figures of these tutors at 0, as all others began: see `_begin`."""
        for tutor, (metric, known) in product(tutors, self._by_tutor):
            for values in known:
                metric.labels(tutor, *values)

    def watch(self, look: Callable[[], Sight], judge: Callable[[Sight], Health]) -> None:
        """Expose what is seen at the moment of each scrape, too."""
        self.registry.register(SightCollector(look, judge))

    def _table(self) -> dict[str, tuple[Count, ...]]:
        """Say what each event counts as."""
        deliveries = self._counter("deliveries", "Attempts at what is owed", "what", "outcome")
        exchanges = self._counter("token_exchanges", "User tokens asked for", "kind", "outcome")
        opened = _by(self._counter("lessons_opened", "Lessons begun", "tutor"), "tutor")
        resumed = _by(self._counter("lessons_resumed", "Tutors brought back", "tutor"), "tutor")
        lost = _by(
            self._counter("lessons_interrupted", "Tutors lost in a lesson", "tutor"), "tutor"
        )
        refused = self._counter("lessons_refused", "Lessons not given, by cause", cause=CAUSES)
        return {
            "job.accepted": (self._simple("jobs_accepted", "Jobs taken", "tutor"), self._on_call),
            "job.refused": (_by(self._not_taken, "tutor", "why"),),
            "lesson.opened": (opened, self._on_opened),
            "lesson.resumed": (resumed, self._on_opened, self._on_resumed),
            "lesson.refused": (_by(refused, "cause"),),
            "lesson.interrupted": (lost, self._on_lost),
            "lesson.recorded": (self._on_recorded,),
            "lesson.given_up": (_by(self._given_up, "tutor", "why"), self._on_given_up),
            "lesson.without_api": (self._simple("lessons_without_api", "Lessons begun unaided"),),
            "engine.switched": (_by(self._switched, "tutor", "kind", "to"),),
            "handoff.over": (_by(self._handoffs, "tutor", "outcome"),),
            "tutor.called": (self._simple("tutors_called", "Tutors called by us", "tutor"),),
            "secret.kept": (self._simple("secret_failures", "Look-ups of secrets that failed"),),
            "mode.changed": (
                self._simple("mode_changes", "Lessons that changed mode", mode=MODES),
            ),
            "webhook.heard": (self._simple("webhooks", "Webhooks that LiveKit signed"),),
            "error.caught": (self._simple("internal_errors", "Errors that nobody foresaw"),),
            "worker.failed": (self._simple("worker_failures", "Workers that ended", "tutor"),),
            "voice.timed": (self._on_voice,),
            "hook.timed": (self._on_hook,),
            "callback.failed": (self._on_callback,),
            "context.loaded": (
                self._simple("context_loads", "Contexts, by source", source=SOURCES),
            ),
            "api.called": (self._on_api_call,),
            "breaker.opened": (
                self._simple("breakers_opened", "Breakers opened", endpoint=ENDPOINTS),
            ),
            "token.exchanged": (_by(exchanges, kind="first", outcome="ok"),),
            "token.refreshed": (_by(exchanges, kind="refresh", outcome="ok"),),
            "token.refresh_failed": (_by(exchanges, kind="refresh", outcome="failed"),),
            "reconciler.blind": (self._simple("rooms_failures", "Rooms API failures"),),
            **{
                f"{what}.{outcome}": (_by(deliveries, what=what, outcome=outcome),)
                for what in ("record", "progress")
                for outcome in ("delivered", "postponed", "dead")
            },
            "delivery.failed": (self._simple("delivery_faults", "Deliveries that a bug stopped"),),
            # `progress.refused` is a job's own; what the API refused has a row.
            "record.refused": (_by(deliveries, what="record", outcome="refused"),),
        }

    def _counter(self, name: str, told: str, *labels: str, **known: Sequence[str]) -> Counter:
        counter = Counter(f"loqua_{name}", told, (*labels, *known), registry=self.registry)
        self._begin(counter, labels, known)
        return counter

    def _histogram(
        self,
        name: str,
        told: str,
        buckets: tuple[float, ...],
        *labels: str,
        **known: Sequence[str],
    ) -> Histogram:
        histogram = Histogram(
            f"loqua_{name}", told, (*labels, *known), buckets=buckets, registry=self.registry
        )
        self._begin(histogram, labels, known)
        return histogram

    def _begin(
        self, metric: Counter | Histogram, labels: Sequence[str], known: Mapping[str, Sequence[str]]
    ) -> None:
        """Begin series at 0, those of tutors later: Prometheus sees no rise in a first value."""
        values = list(product(*known.values()))
        if labels == ("tutor",):
            self._by_tutor.append((metric, values))
        elif known:
            for each in values:
                metric.labels(*each)

    def _simple(self, name: str, told: str, *labels: str, **known: Sequence[str]) -> Count:
        return _by(self._counter(name, told, *labels, **known), *labels, *known)

    def _on_call(self, fields: Fields) -> None:
        self._calls.start((fields.get("room"), fields.get("tutor")))

    def _on_opened(self, fields: Fields) -> None:
        took = self._calls.stop((fields.get("room"), fields.get("tutor")))
        self._opened.keep(fields.get("session_id"), took)

    def _on_lost(self, fields: Fields) -> None:
        self._losses.start(fields.get("session_id"))

    def _on_resumed(self, fields: Fields) -> None:
        session = fields.get("session_id")
        self._resumed.keep(session, self._losses.stop(session))

    def _on_ready(self, fields: Fields) -> None:
        """Hear that a tutor began with its learner: what it took till then, on both sides."""
        for before, measured in ((self._opened, self._ready), (self._resumed, self._restored)):
            took = before.take(fields.get("session_id"))
            if took is not None:
                seconds = took + _number(fields, "after")
                measured.labels(_text(fields, "tutor")).observe(seconds)

    def _on_given_up(self, fields: Fields) -> None:
        self._losses.stop(fields.get("session_id"))
        self._ended.labels(_text(fields, "tutor"), _text(fields, "outcome")).inc()

    def _on_recorded(self, fields: Fields) -> None:
        tutor = _text(fields, "tutor")
        self._ended.labels(tutor, _text(fields, "outcome")).inc()
        self._taught.labels(tutor).observe(_number(fields, "seconds"))
        if _number(fields, "achievements"):
            self._achieved.labels(tutor).inc()

    def _on_voice(self, fields: Fields) -> None:
        for stage in STAGES:
            if stage in fields:
                self._voice.labels(_text(fields, "tutor"), stage).observe(_number(fields, stage))

    def _on_hook(self, fields: Fields) -> None:
        called = _text(fields, "tutor"), _text(fields, "hook")
        self._hooked.labels(*called).observe(_number(fields, "seconds"))
        if fields.get("failed"):
            self._hooks_failed.labels(*called).inc()
        elif fields.get("hook") == "on_user_ready":
            self._on_ready(fields)

    def _on_callback(self, fields: Fields) -> None:
        self._hooks_failed.labels(_text(fields, "tutor"), CALLBACK).inc()

    def _on_api_call(self, fields: Fields) -> None:
        endpoint = _text(fields, "endpoint")
        outcome = fields.get("failure") or "ok"
        self._api_calls.labels(endpoint, str(outcome), _text(fields, "status")).inc()
        if outcome != "cancelled":  # whoever asked did not wait: that is no time of the API's
            self._answered.labels(endpoint).observe(_number(fields, "seconds"))
        if _number(fields, "attempt") > 1:
            self._retries.labels(endpoint).inc()


class _Recent:
    """Seconds by key, until they are asked for; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, float] = OrderedDict()

    def keep(self, key: Hashable, seconds: float | None) -> None:
        if seconds is not None:
            self._kept[key] = seconds
        if len(self._kept) > TIMED_AT_ONCE:
            self._kept.popitem(last=False)

    def take(self, key: Hashable) -> float | None:
        return self._kept.pop(key, None)


class _Stopwatches:
    """Times between two events of one key."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._begun = _Recent()

    def start(self, key: Hashable) -> None:
        self._begun.keep(key, self._monotonic())

    def stop(self, key: Hashable) -> float | None:
        begun = self._begun.take(key)
        return None if begun is None else self._monotonic() - begun


def _by(counter: Counter, *labels: str, **fixed: str) -> Count:
    """Get what counts an event under its own fields or under fixed labels."""
    if fixed:
        child = counter.labels(**fixed)
        return lambda _fields: child.inc()
    if not labels:
        return lambda _fields: counter.inc()
    return lambda fields: counter.labels(*(_text(fields, label) for label in labels)).inc()


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "none" if value is None else str(value)


def _number(fields: Fields, name: str) -> float:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) else 0.0

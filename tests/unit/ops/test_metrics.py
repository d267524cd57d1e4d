"""The host's figures, counted from its own log events."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import loqua_host
from loqua_host.core.events import Event
from loqua_host.ops.health import assess
from loqua_host.ops.logbook import BREAKERS, PHASES
from loqua_host.ops.metrics import CAUSES, ENDPOINTS, GIVEN_UP, SOURCES, Metrics
from loqua_host.ops.sight import LessonSight, Phase, Sight, WorkerSight
from loqua_host.records.ledger import Debts

Tell = Callable[..., None]


class Watch:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Give its time."""
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    """Give the clock of the metrics."""
    return Watch()


@pytest.fixture
def metrics(watch: Watch) -> Metrics:
    """Give metrics that have counted nothing."""
    return Metrics(watch)


@pytest.fixture
def tell(metrics: Metrics) -> Tell:
    """Have the metrics observe an event."""

    def observe(name: str, **fields: object) -> None:
        metrics(Event(name, fields))  # type: ignore[arg-type]  # a log event's fields may be any

    return observe


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Give what is exposed under a name."""
    return metrics.registry.get_sample_value(f"loqua_{name}", labels)


@pytest.mark.parametrize(
    ("event", "fields", "name", "labels"),
    [
        ("lesson.opened", {"tutor": "grammar"}, "lessons_opened_total", {"tutor": "grammar"}),
        ("lesson.resumed", {"tutor": "grammar"}, "lessons_resumed_total", {"tutor": "grammar"}),
        ("lesson.refused", {"cause": "no_user"}, "lessons_refused_total", {"cause": "no_user"}),
        (
            "job.refused",
            {"tutor": "grammar", "why": "full"},
            "jobs_refused_total",
            {"tutor": "grammar", "why": "full"},
        ),
        (
            "lesson.interrupted",
            {"tutor": "grammar"},
            "lessons_interrupted_total",
            {"tutor": "grammar"},
        ),
        ("mode.changed", {"mode": "cache"}, "mode_changes_total", {"mode": "cache"}),
        ("breaker.opened", {"endpoint": "api"}, "breakers_opened_total", {"endpoint": "api"}),
        ("token.exchanged", {}, "token_exchanges_total", {"kind": "first", "outcome": "ok"}),
        ("token.refreshed", {}, "token_exchanges_total", {"kind": "refresh", "outcome": "ok"}),
        (
            "token.refresh_failed",
            {},
            "token_exchanges_total",
            {"kind": "refresh", "outcome": "failed"},
        ),
        ("record.delivered", {}, "deliveries_total", {"what": "record", "outcome": "delivered"}),
        ("record.refused", {}, "deliveries_total", {"what": "record", "outcome": "refused"}),
        ("context.loaded", {"source": "cache"}, "context_loads_total", {"source": "cache"}),
        ("worker.failed", {"tutor": "grammar"}, "worker_failures_total", {"tutor": "grammar"}),
    ],
)
def test_an_event_counts_as_what_it_is(
    metrics: Metrics,
    tell: Tell,
    event: str,
    fields: dict[str, str],
    name: str,
    labels: dict[str, str],
) -> None:
    """Once each time."""
    tell(event, **fields, user_id="maria")
    tell(event, **fields, user_id="tom")
    assert value(metrics, name, **labels) == 2


def test_an_attempt_at_the_api_is_counted_and_timed_and_a_repeat_is_a_retry(
    metrics: Metrics, tell: Tell
) -> None:
    """By endpoint, outcome and status."""
    tell("api.called", endpoint="context", status=200, failure=None, attempt=2, seconds=0.3)
    tell(
        "api.called",
        endpoint="context",
        status=None,
        failure="UnreachableError",
        attempt=1,
        seconds=4.0,
    )
    fine = {"endpoint": "context", "outcome": "ok", "status": "200"}
    lost = {"endpoint": "context", "outcome": "UnreachableError", "status": "none"}
    assert value(metrics, "api_calls_total", **fine) == 1
    assert value(metrics, "api_calls_total", **lost) == 1
    assert value(metrics, "api_retries_total", endpoint="context") == 1
    assert value(metrics, "api_call_seconds_sum", endpoint="context") == pytest.approx(4.3)


def test_an_ended_lesson_counts_with_its_time_and_what_was_achieved(
    metrics: Metrics, tell: Tell
) -> None:
    """With the outcome that the API is told."""
    tell("lesson.recorded", tutor="grammar", outcome="completed", seconds=600.0, achievements=2)
    tell("lesson.recorded", tutor="grammar", outcome="completed", seconds=30.0, achievements=0)
    tell("lesson.recorded", tutor="grammar", outcome="failed", seconds=0.0)
    tell("lesson.given_up", tutor="grammar", session_id="v1", why="crash_loop", outcome="failed")
    ended = {
        outcome: value(metrics, "lessons_ended_total", tutor="grammar", outcome=outcome)
        for outcome in ("completed", "failed")
    }
    assert ended == {"completed": 2, "failed": 2}
    assert value(metrics, "lesson_engagement_seconds_sum", tutor="grammar") == 630
    assert value(metrics, "lesson_objectives_total", tutor="grammar") == 1


def test_a_hook_is_timed_and_its_failures_are_counted(metrics: Metrics, tell: Tell) -> None:
    """By tutor and hook, whether or not the lesson ends by it."""
    called = {"tutor": "grammar", "hook": "on_progress_tick"}
    tell("hook.timed", **called, seconds=0.5, failed=False)
    tell("hook.timed", **called, seconds=5.0, failed=True)
    assert value(metrics, "hook_seconds_sum", **called) == 5.5
    assert value(metrics, "hook_failures_total", **called) == 1


def test_failures_of_the_tutors_code_outside_its_hooks_are_counted(
    metrics: Metrics, tell: Tell
) -> None:
    """As if all of it were one hook: their functions have any names."""
    tell("callback.failed", tutor="grammar")
    assert value(metrics, "hook_failures_total", tutor="grammar", hook="callback") == 1


def test_what_a_reply_took_is_kept_by_stage(metrics: Metrics, tell: Tell) -> None:
    """Those that were measured."""
    tell("voice.timed", tutor="grammar", reply=1.5, speaking=0.25)
    reply = value(metrics, "voice_seconds_sum", tutor="grammar", stage="reply")
    assert reply == 1.5
    assert value(metrics, "voice_seconds_count", tutor="grammar", stage="speaking") == 1
    assert value(metrics, "voice_seconds_count", tutor="grammar", stage="thinking") is None


def test_times_to_a_lesson_and_back_to_one_are_measured(
    metrics: Metrics, tell: Tell, watch: Watch
) -> None:
    """From the accepted job, and from the loss of the tutor, to a tutor's first hook."""

    def begins(after: float, *, failed: bool = False) -> None:
        called = {"hook": "on_user_ready", "seconds": 0.5, "failed": failed}
        tell("hook.timed", tutor="grammar", session_id="v1", after=after, **called)

    tell("job.accepted", tutor="grammar", room="r1")
    watch.seconds = 1.5
    tell("lesson.opened", tutor="grammar", room="r1", session_id="v1")
    assert value(metrics, "lesson_ready_seconds_count", tutor="grammar") is None
    watch.seconds = 9.0
    begins(0.75)
    watch.seconds = 10.0
    tell("lesson.interrupted", tutor="grammar", session_id="v1")
    watch.seconds = 14.0
    tell("lesson.resumed", tutor="grammar", room="r1", session_id="v1")
    begins(0.25, failed=True)
    begins(0.5)
    begins(7.0)
    assert value(metrics, "lesson_ready_seconds_sum", tutor="grammar") == 2.25
    assert value(metrics, "lesson_ready_seconds_count", tutor="grammar") == 1
    assert value(metrics, "lesson_restore_seconds_sum", tutor="grammar") == 4.5


def test_what_is_counted_is_what_the_host_logs(metrics: Metrics) -> None:
    """An event that was renamed would count no more, and nobody would notice."""
    files = Path(loqua_host.__file__).parent.rglob("*.py")
    source = "".join(file.read_text("utf-8") for file in files if file.parent.name != "ops")
    for name in [*metrics._counts, *PHASES, *BREAKERS]:
        outcome = name.partition(".")[2]
        assert f'"{name}"' in source or f'f"{{what}}.{outcome}"' in source, name


def test_an_event_with_nothing_in_it_breaks_nothing(metrics: Metrics, tell: Tell) -> None:
    """Whoever logs must not fail because of who counts."""
    for name in metrics._counts:
        tell(name)
        tell(name, tutor=None, seconds="long", attempt=None, achievements=[])


def test_no_label_is_a_learner_s_or_a_lesson_s(metrics: Metrics, tell: Tell) -> None:
    """However many come, the figures stay as many."""
    labels = {"tutor": "grammar", "endpoint": "context", "cause": "c", "why": "w", "mode": "full"}
    sizes = []
    for number in (1, 2, 3):
        for name in metrics._counts:
            learner = {"user_id": f"user{number}", "session_id": f"v{number}", "room": f"r{number}"}
            tell(name, **labels, **learner, reason=f"said by a tutor {number}", status=200)
        collected = list(metrics.registry.collect())
        sizes.append(sum(len(family.samples) for family in collected))
    assert sizes[1] == sizes[2]
    shown = {label for family in collected for sample in family.samples for label in sample.labels}
    assert shown <= {
        "tutor", "endpoint", "cause", "why", "mode", "outcome", "status", "what", "kind", "hook",
        "le", "level", "stage", "source", "task", "to",
    }  # fmt: skip


def test_every_figure_begins_at_0(metrics: Metrics) -> None:
    """Else what happens for the first time is no rise to Prometheus, and wakes nobody."""
    metrics.expect(["grammar"])
    for family in metrics.registry.collect():
        if family.name.startswith("loqua_"):
            assert family.samples, family.name
            assert not any(one.value for one in family.samples if not one.name.endswith("_created"))
    first = {"tutor": "grammar", "why": "crash_loop"}
    assert value(metrics, "lessons_given_up_total", **first) == 0
    refused = {"endpoint": "sessions", "outcome": "RefusedError", "status": "401"}
    assert value(metrics, "api_calls_total", **refused) == 0


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        (r'LearnerError\(\s*"(\w+)"', CAUSES),
        (r'(?:ALREADY_TAUGHT|CRASH_LOOP) = "(\w+)"', CAUSES),
        (r'return "(\w+_(?:unreachable|unusable))"', CAUSES),
        (r'\bRequest\("([\w-]+)"', ENDPOINTS),
        (r'self\._loaded\("(\w+)"', SOURCES),
        (r'yield Close\(lesson, "(\w+)"', GIVEN_UP),
    ],
)
def test_what_figures_are_told_apart_by_is_known(pattern: str, known: tuple[str, ...]) -> None:
    """A cause, an endpoint or a source that the host's code has begins at 0, too."""
    files = Path(loqua_host.__file__).parent.rglob("*.py")
    source = "".join(file.read_text("utf-8") for file in files if "dev" not in file.parts)
    found = set(re.findall(pattern, source))
    assert found
    assert found <= set(known)


def test_engines_that_take_over_are_counted(metrics: Metrics, tell: Tell) -> None:
    """By where they are in their list; none is named, nor is its secret."""
    metrics.expect(["grammar"])
    by = {"tutor": "grammar", "kind": "tts"}
    assert value(metrics, "engine_switches_total", **by, to="fallback") == 0
    tell("engine.switched", **by, index=1, to="fallback")
    tell("engine.switched", **by, index=2, to="fallback")
    tell("engine.switched", **by, index=0, to="first")
    assert value(metrics, "engine_switches_total", **by, to="fallback") == 2
    assert value(metrics, "engine_switches_total", **by, to="first") == 1


def test_an_attempt_that_was_cancelled_counts_and_takes_no_time_of_the_api(
    metrics: Metrics, tell: Tell
) -> None:
    """Its caller went, as a lesson that ends does: neither success nor failure."""
    tell("api.called", endpoint="health", status=None, failure="cancelled", attempt=1, seconds=3.0)
    cancelled = {"endpoint": "health", "outcome": "cancelled", "status": "none"}
    assert value(metrics, "api_calls_total", **cancelled) == 1
    assert value(metrics, "api_call_seconds_count", endpoint="health") == 0


def test_what_is_seen_is_exposed_as_it_is_at_each_scrape(metrics: Metrics) -> None:
    """Nothing is kept from one to the next."""
    sights = [
        Sight(
            now=50.0,
            unix=1000.0,
            phase=Phase.SERVING,
            workers=(WorkerSight("grammar", "", online=True, busy=1, places=2),),
            lessons=(
                LessonSight("a", "grammar", "cache", 900.0, 0, {"tts": 1, "stt": 0}),
                LessonSight("b", "grammar", "cache", 900.0, 0, {"tts": 0}),
            ),
            waiting=(15.0, 5.0),
            breakers={"context": "open"},
            agent_jwt_left=86_400.0,
            debts=Debts(records=2, oldest=700.0),
            ledger_failures=4,
        ),
        Sight(now=1001.0),
    ]
    metrics.watch(lambda: sights[0], assess)
    seen = {
        "worker_online": value(metrics, "worker_online", tutor="grammar"),
        "lessons_live": value(metrics, "lessons_live", tutor="grammar", mode="cache"),
        "first": value(metrics, "engine_lessons", tutor="grammar", kind="stt", index="0"),
        "fallback": value(metrics, "engine_lessons", tutor="grammar", kind="tts", index="1"),
        "learners_alone": value(metrics, "learners_alone"),
        "learner_alone_seconds": value(metrics, "learner_alone_seconds"),
        "breaker_open": value(metrics, "breaker_open", endpoint="context"),
        "agent_jwt_seconds_left": value(metrics, "agent_jwt_seconds_left"),
        "records_owed": value(metrics, "records_owed"),
        "record_oldest_seconds": value(metrics, "record_oldest_seconds"),
        "ready": value(metrics, "ready"),
        "ledger_failures_total": value(metrics, "ledger_failures_total"),
        "health": value(metrics, "health", level="livekit"),
    }
    assert seen == {
        "worker_online": 1,
        "lessons_live": 2,
        "first": 1,
        "fallback": 1,
        "learners_alone": 2,
        "learner_alone_seconds": 15,
        "breaker_open": 1,
        "agent_jwt_seconds_left": 86_400,
        "records_owed": 2,
        "record_oldest_seconds": 300,
        "ready": 1,
        "ledger_failures_total": 4,
        "health": 1,
    }
    del sights[0]
    assert value(metrics, "lessons_live", tutor="grammar", mode="cache") is None

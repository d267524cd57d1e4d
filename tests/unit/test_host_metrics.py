"""The metrics that a host exposes; each package tests its own counts."""

import re
from pathlib import Path

import pytest

import loqua_host
from loqua_host.core.breaker import BreakerState
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.core.metrics import ENDPOINTS, SOURCES
from loqua_host.host_metrics import HostMetrics
from loqua_host.lessons.decisions import Wait
from loqua_host.lessons.metrics import CAUSES, GIVEN_UP, StageTotal
from loqua_host.link.messages import VoiceTimed
from loqua_host.observability.faults import INTERNAL_ERRORS, log_fault
from loqua_host.ops.health import assess
from loqua_host.ops.status import HostStatus, LessonStatus, Phase, WorkerStatus
from loqua_host.records.ledger import Backlog

LABELS = {
    "tutor", "endpoint", "cause", "why", "mode", "outcome", "status", "what", "kind", "hook", "le",
    "level", "stage", "source", "to", "index", "version",
}  # fmt: skip


@pytest.fixture
def metrics() -> HostMetrics:
    """Return metrics that have counted nothing."""
    return HostMetrics()


def value(metrics: HostMetrics, name: str, **labels: str) -> float | None:
    """Return what is exposed under a name."""
    return metrics.registry.get_sample_value(f"loqua_{name}", labels)


def test_every_metric_begins_at_0(metrics: HostMetrics) -> None:
    """Else what happens for the first time is no rise to Prometheus, and wakes nobody."""
    metrics.instruments.add_tutors(["grammar"])
    for family in metrics.registry.collect():
        if family.name.startswith("loqua_"):
            assert family.samples, family.name
            if family.name != "loqua_internal_errors":  # the process's, whatever was tested before
                values = [one.value for one in family.samples if not one.name.endswith("_created")]
                assert not any(values), family.name
    assert value(metrics, "lessons_given_up_total", tutor="grammar", why="crash_loop") == 0
    assert value(metrics, "engine_switches_total", tutor="grammar", kind="tts", to="fallback") == 0
    assert value(metrics, "deliveries_total", what="record", outcome="refused") == 0
    assert value(metrics, "token_exchanges_total", kind="refresh", outcome="failed") == 0
    refused = {"endpoint": "sessions", "outcome": "RefusedError", "status": "401"}
    assert value(metrics, "api_calls_total", **refused) == 0


def test_a_tutor_that_is_enabled_again_goes_on_counting(metrics: HostMetrics) -> None:
    """A counter that fell would be a restart to Prometheus."""
    metrics.instruments.add_tutors(["grammar"])
    metrics.lessons.opened.labels("grammar").inc()
    metrics.instruments.add_tutors(["grammar"])
    assert value(metrics, "lessons_opened_total", tutor="grammar") == 1


def test_metrics_of_one_host_are_not_those_of_another(metrics: HostMetrics) -> None:
    """No instrument is the process's, but for errors that nobody foresaw."""
    metrics.lessons.webhooks.inc()
    assert value(HostMetrics(), "webhooks_total") == 0


def test_no_label_is_a_learner_s_or_a_lesson_s(metrics: HostMetrics) -> None:
    """However many come, the series stay as many."""
    metrics.instruments.add_tutors(["grammar"])
    metrics.watch(
        lambda: HostStatus(now=1.0, lessons=(LessonStatus("a", "b", "full", 1.0, 0),)), assess
    )
    shown = {
        label
        for family in metrics.registry.collect()
        for sample in family.samples
        for label in sample.labels
    }
    assert shown <= LABELS


def test_an_error_that_nobody_foresaw_is_counted(metrics: HostMetrics) -> None:
    """Wherever it comes up, and by whomever it is caught."""
    before = value(metrics, "internal_errors_total")
    assert before is not None
    log_fault("test", ZeroDivisionError())
    assert value(metrics, "internal_errors_total") == before + 1
    assert INTERNAL_ERRORS in metrics.registry._collector_to_names


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
    ids=["learners", "constants", "outages", "endpoints", "sources", "given up"],
)
def test_the_labels_of_series_are_known_in_advance(pattern: str, known: tuple[str, ...]) -> None:
    """A cause, an endpoint or a source that the host's code has begins at 0, too."""
    files = Path(loqua_host.__file__).parent.rglob("*.py")
    source = "".join(file.read_text("utf-8") for file in files if "dev" not in file.parts)
    found = set(re.findall(pattern, source))
    assert found
    assert found <= set(known)


BUSY = HostStatus(
    now=50.0,
    unix=1000.0,
    phase=Phase.SERVING,
    workers=(WorkerStatus("grammar", "", online=True, busy=1, places=2),),
    lessons=(
        LessonStatus("a", "grammar", "cache", 900.0, 0, {"tts": 1, "stt": 0}),
        LessonStatus("b", "grammar", "cache", 900.0, 0, {"tts": 0}),
    ),
    waiting=(Wait("grammar", 15.0), Wait("grammar", 5.0)),
    endpoints={
        "context": EndpointStatus(49.0, 0.1, "503", BreakerState.OPEN),
        "health": EndpointStatus(49.0, 0.1),
    },
    agent_jwt_left=86_400.0,
    backlog=Backlog(records=2, oldest=700.0),
    ledger_failures=4,
    secret_failures=3,
)

EXPOSED: list[tuple[str, dict[str, str], float]] = [
    ("worker_online", {"tutor": "grammar"}, 1),
    ("lessons_live", {"tutor": "grammar", "mode": "cache"}, 2),
    ("engine_lessons", {"tutor": "grammar", "kind": "stt", "index": "0"}, 1),
    ("engine_lessons", {"tutor": "grammar", "kind": "tts", "index": "1"}, 1),
    ("learners_waiting", {}, 2),
    ("learner_longest_wait_seconds", {}, 15),
    ("breaker_open", {"endpoint": "context"}, 1),
    ("breaker_open", {"endpoint": "health"}, 0),
    ("agent_jwt_seconds_left", {}, 86_400),
    ("outbox_pending", {}, 2),
    ("record_oldest_seconds", {}, 300),
    ("ready", {}, 1),
    ("ledger_failures_total", {}, 4),
    ("secret_failures_total", {}, 3),
    ("health", {"level": "livekit"}, 1),
]


def test_the_status_is_exposed_as_it_is_at_each_scrape(metrics: HostMetrics) -> None:
    """No value of an earlier scrape remains."""
    statuses = [BUSY, HostStatus(now=1001.0, stale_config="a: wrong", refused_key="no")]
    metrics.watch(lambda: statuses[0], assess)
    assert value(metrics, "config_current") == value(metrics, "livekit_key_current") == 1
    exposed = [(name, labels, value(metrics, name, **labels)) for name, labels, _ in EXPOSED]
    assert exposed == EXPOSED
    del statuses[0]
    assert value(metrics, "lessons_live", tutor="grammar", mode="cache") is None
    assert value(metrics, "config_current") == value(metrics, "livekit_key_current") == 0


def test_what_replies_took_is_summed_by_tutor_and_stage(metrics: HostMetrics) -> None:
    """For the status page."""
    for tutor in ("grammar", "grammar", "conversation"):
        metrics.lessons.observe_voice(tutor, VoiceTimed(stages={"reply": 1.5, "turn": 0.5}))
    grammar, conversation = map(metrics.lessons.voice_totals().get, ("grammar", "conversation"))
    assert grammar is not None
    assert conversation is not None
    assert (grammar["reply"], grammar["turn"]) == (StageTotal(3.0, 2), StageTotal(1.0, 2))
    assert (conversation["reply"], conversation["thinking"]) == (StageTotal(1.5, 1), StageTotal())

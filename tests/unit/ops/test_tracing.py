"""Traces leave by OpenTelemetry's own variables, without tokens, or not at all."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from loqua_host.errors import ConfigError
from loqua_host.lessons import traces as trace_module
from loqua_host.lessons.traces import LESSON, Traces, adopt, is_wanted, take
from loqua_host.link.server import JobRef
from loqua_host.link.spans import SpanTold
from loqua_host.ops import tracing
from loqua_host.ops.tracing import note_event, open_traces
from loqua_host.records.ledger import LessonRow
from loqua_host.records.traces import root_of, under_lesson

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJpYSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
ROW = LessonRow(
    id="lesson",
    session_id="sess_1",
    visit="sess_1",
    user_id="maria",
    room="room",
    tutor="grammar",
    agent_id="loqua",
    opened_at=0.0,
    entry="",
)
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Exporter(SpanExporter):
    """Stands for OTLP's, and keeps what it gets."""

    made: "list[Exporter]"

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.most = 0
        self.headers = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS")
        Exporter.made.append(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep spans."""
        self.spans += spans
        self.most = max(self.most, len(spans))
        return SpanExportResult.SUCCESS


@pytest.fixture(autouse=True)
def providers(monkeypatch: pytest.MonkeyPatch) -> list[TracerProvider]:
    """Keep this process's own provider as it is, and give those that were to replace it."""
    Exporter.made = []
    chosen: list[TracerProvider] = []
    monkeypatch.setattr(tracing, "OTLPSpanExporter", Exporter)
    monkeypatch.setattr(trace, "set_tracer_provider", chosen.append)
    return chosen


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "None"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_traces_are_on_where_the_variables_say_so(
    environ: dict[str, str], on: bool, providers: list[TracerProvider]
) -> None:
    """Else there is nothing that would export."""
    with open_traces(environ) as traces:
        assert traces.on is on
    assert len(Exporter.made) == len(providers) == on


def test_a_collector_s_secret_is_in_the_environment_for_no_longer_than_it_is_read() -> None:
    """What this process starts gets none of it."""
    with open_traces(ENDPOINT | {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret"}):
        assert not [name for name in os.environ if name.startswith("OTEL_")]
    assert Exporter.made[0].headers == "x-key=secret"


def test_a_variable_out_of_bounds_is_named() -> None:
    """The host does not start with it."""
    with (
        pytest.raises(ConfigError, match="OTEL_SPAN_EVENT_COUNT_LIMIT must be"),
        open_traces(ENDPOINT | {"OTEL_SPAN_EVENT_COUNT_LIMIT": "-4"}),
    ):
        pytest.fail("it was opened")
    assert not [name for name in os.environ if name.startswith("OTEL_")]


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "loqua-host"),
        ({"OTEL_SERVICE_NAME": "tutors"}, "tutors"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=madrid,region=eu"}, "madrid"),
    ],
)
def test_the_service_is_named_as_the_variables_say(
    environ: dict[str, str], name: str, providers: list[TracerProvider]
) -> None:
    """By the host's own name without them."""
    with open_traces(ENDPOINT | environ):
        assert providers[0].resource.attributes["service.name"] == name


def test_spans_bear_the_attributes_that_the_variables_say(providers: list[TracerProvider]) -> None:
    """Where the host runs, say."""
    with open_traces(ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": "region=eu,zone=a"}):
        providers[0].get_tracer("test").start_span(LESSON).end()
    [told] = Exporter.made[0].spans
    assert told.resource.attributes.items() >= {("region", "eu"), ("zone", "a")}


def test_spans_go_in_batches_as_the_variables_say(providers: list[TracerProvider]) -> None:
    """No more at once than the collector takes, and none is lost by it."""
    environ = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2", "OTEL_BSP_MAX_QUEUE_SIZE": "100"}
    with open_traces(ENDPOINT | environ):
        for _ in range(5):
            providers[0].get_tracer("test").start_span(LESSON).end()
    assert (len(Exporter.made[0].spans), Exporter.made[0].most) == (5, 2)


def lower_half(lesson: str) -> bool:
    """Say whether half of all lessons, sampled by the ids of their traces, have this one."""
    return root_of(lesson).trace_id % 2**64 < 2**63


KEPT, LEFT = (
    next(str(n) for n in range(100) if lower_half(str(n)) is kept) for kept in (True, False)
)
"""Two lessons."""


async def teach(traces: Traces, lesson: str, restarts: int = 0) -> tuple[bool, bool]:
    """Do for a lesson what is traced; say what of job and host is wanted after its opening."""
    tracer = trace_module.tracer
    seen: list[tuple[bool, bool]] = []

    async def attend(_link: object) -> None:
        adopt(replace(ROW, id=lesson, restarts=restarts))
        with tracer.start_as_current_span("ledger close_lesson") as span:
            seen.append((is_wanted(), span.is_recording()))
        take([SpanTold(name="turn", scope="livekit", id=7, begun=5, ended=7)])

    job = JobRef(f"job-{lesson}-{restarts}", "room", "grammar")
    traces.accepting(lambda _: tracer.start_span("token exchange").end())(job)
    link = SimpleNamespace(job=job)
    await asyncio.create_task(traces.attending(attend)(link))  # type: ignore[arg-type]  # a fake
    with tracer.start_as_current_span("delivery record", under_lesson(lesson)):
        tracer.start_span("api sessions").end()
    return seen[0]


WHOLE = ["api sessions", "delivery record", "ledger close_lesson", LESSON, "token exchange", "turn"]


@pytest.mark.parametrize(
    ("sampler", "share", "kept"),
    [
        ("always_on", "", {KEPT, LEFT}),
        ("always_off", "", set()),
        ("traceidratio", "0", set()),
        ("traceidratio", "0.5", {KEPT}),
        ("parentbased_traceidratio", "0.5", {KEPT}),
        ("parentbased_always_off", "", set()),
        ("parentbased_traceidratio", "1", {KEPT, LEFT}),
    ],
)
async def test_a_lesson_is_sampled_whole_or_not_at_all(
    sampler: str,
    share: str,
    kept: set[str],
    providers: list[TracerProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its own id: also where it is resumed, and what is delivered for it later."""
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": share}
    with open_traces(ENDPOINT | {name: value for name, value in environ.items() if value}) as it:
        monkeypatch.setattr(trace_module, "tracer", providers[0].get_tracer("test"))
        for lesson in (KEPT, LEFT):
            is_kept = lesson in kept
            assert await teach(it, lesson) == (is_kept, is_kept)
            assert await teach(it, lesson, restarts=1) == (is_kept, is_kept)
    spans = Exporter.made[0].spans
    for lesson in (KEPT, LEFT):
        its = [span for span in spans if span.context.trace_id == root_of(lesson).trace_id]  # type: ignore[union-attr]  # exported spans have one
        assert sorted(span.name for span in its) == sorted(WHOLE * 2 * (lesson in kept))
    assert len(spans) == len(kept) * 2 * len(WHOLE)


def test_only_what_is_done_for_a_lesson_is_traced(providers: list[TracerProvider]) -> None:
    """The ledger is asked every few seconds for nobody in particular."""
    with open_traces(ENDPOINT):
        tracer = providers[0].get_tracer("test")
        with tracer.start_as_current_span("ledger debts"):
            tracer.start_span("ledger owing").end()
        with tracer.start_as_current_span(LESSON, attributes={"room": "r"}):
            tracer.start_span("token exchange").end()
    spans = Exporter.made[0].spans
    assert [span.name for span in spans] == ["token exchange", LESSON]
    assert spans[1].attributes == {"room": "r"}


def test_a_token_is_hidden_wherever_in_a_span_it_is(providers: list[TracerProvider]) -> None:
    """As in the log, in the last step."""
    with open_traces(ENDPOINT):
        tracer = providers[0].get_tracer("test")
        span = tracer.start_span(LESSON, attributes={"why": f"got {JWT}", "n": 1})
        span.add_event("api.called", {"why": JWT})
        span.record_exception(ValueError(f"{JWT} was refused"))
        span.set_status(trace.StatusCode.ERROR, JWT)
        span.end()
    [told] = Exporter.made[0].spans
    assert told.attributes == {"why": "got [token]", "n": 1}
    assert JWT not in told.to_json()
    assert told.status.status_code is trace.StatusCode.ERROR


def test_what_the_host_logs_is_noted_where_it_happens(providers: list[TracerProvider]) -> None:
    """Each attempt at the API, say; not what is for debugging, nor outside any span."""
    called = {"event": "api.called", "endpoint": "context", "status": 200, "why": None}
    with open_traces(ENDPOINT):
        note_event(None, "info", called)
        with providers[0].get_tracer("test").start_as_current_span(LESSON):
            note_event(None, "info", called)
            note_event(None, "debug", {"event": "hook.timed"})
    [told] = Exporter.made[0].spans
    [noted] = told.events
    assert noted.name == "api.called"
    assert noted.attributes is not None
    assert (noted.attributes["endpoint"], noted.attributes["status"]) == ("context", 200)

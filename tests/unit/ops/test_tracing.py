"""Traces leave by OpenTelemetry's own variables, without tokens, or not at all."""

import os
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from loqua_host.core.events import Event
from loqua_host.errors import ConfigError
from loqua_host.lessons.traces import LESSON
from loqua_host.ops import tracing
from loqua_host.ops.tracing import note_event, open_traces

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJpYSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Exporter(SpanExporter):
    """Stands for OTLP's, and keeps what it gets."""

    made: "list[Exporter]"

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.headers = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS")
        Exporter.made.append(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep spans."""
        self.spans += spans
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
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
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
    called = Event("api.called", {"endpoint": "context", "status": 200, "why": None})
    with open_traces(ENDPOINT):
        note_event(called)
        with providers[0].get_tracer("test").start_as_current_span(LESSON):
            note_event(called)
            note_event(Event("hook.timed", {"level": "debug"}))
    [told] = Exporter.made[0].spans
    [noted] = told.events
    assert (noted.name, noted.attributes) == ("api.called", {"endpoint": "context", "status": 200})

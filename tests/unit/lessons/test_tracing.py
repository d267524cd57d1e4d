"""Traces: one for each job, linked from a resumed lesson to the one before."""

import logging
import os
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.unit.lessons.host_under_test import (
    JOB,
    HostUnderTest,
    Opened,
    always,
    finish,
    join,
    made,
    receive,
    until,
)

from loqua_host.errors import ConfigError, RefusedError
from loqua_host.lessons import prefetcher, prepared_lesson, tracing
from loqua_host.lessons.recovery import recover
from loqua_host.lessons.tracing import LESSON, open_traces
from loqua_host.link.messages import Recorded, Spans
from loqua_host.link.server import JobRef
from loqua_host.link.spans import LONGEST_TEXT, JobSpan, JobSpanEvent
from loqua_host.observability.redaction import Redaction
from loqua_host.records import delivery, writer

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJpYSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
IDS = {"agent_id": "loqua-tutor", "session_id": "sess_1", "user_id": "maria"}


class Exporter(SpanExporter):
    """An OTLP exporter that records spans."""

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
    """Keep this process's own provider as it is, and return those that were to replace it."""
    Exporter.made = []
    chosen: list[TracerProvider] = []

    def choose(provider: TracerProvider) -> None:
        chosen.append(provider)
        monkeypatch.setattr(tracing, "tracer", provider.get_tracer(tracing.LESSONS))
        for module in (prepared_lesson, writer, delivery):
            monkeypatch.setattr(module, "tracer", provider.get_tracer("test"))
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    monkeypatch.setattr(tracing, "OTLPSpanExporter", Exporter)
    monkeypatch.setattr(trace, "set_tracer_provider", choose)
    return chosen


class Exported:
    """The exported spans."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans so far."""
        self._provider.force_flush()
        return Exporter.made[0].spans

    def named(self, name: str) -> list[Any]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Any:
        """Return the only span of that name."""
        [found] = self.named(name)
        return found


@pytest.fixture
def exported(providers: list[TracerProvider]) -> Iterator[Exported]:
    """Trace lessons, and return what is exported."""
    with open_traces(ENDPOINT):
        yield Exported(providers[0])


def job_span(name: str, span_id: int, parent: int | None = None, **fields: Any) -> JobSpan:
    """Return a span as a job tells it."""
    return JobSpan.model_validate(
        {"name": name, "scope": "livekit", "id": span_id, "parent": parent}
        | {"started_at": 5, "ended_at": 7}
        | fields
    )


async def teach(host: HostUnderTest, *spans: JobSpan, job: JobRef = JOB) -> Any:
    """Accept a job, teach its lesson to the end, and deliver the record; return the welcome."""
    host.lessons.begin(job)
    async with host.job(job) as link:
        welcome = await join(link)
        await link.send(Spans(spans=spans))
        await link.send(finish())
        assert await receive(link) == Recorded()
    await host.delivered()
    return welcome


async def test_a_job_is_one_trace_from_its_acceptance_to_the_delivered_record(
    host: HostUnderTest, exported: Exported
) -> None:
    """With what is done for it on the way."""
    welcome = await teach(host)
    assert welcome.traced
    await until(lambda: exported.named(LESSON))
    root = exported.one(LESSON)
    assert root.parent is None
    assert root.attributes.items() >= (IDS | {"tutor": "conversation", "job_id": "job"}).items()
    below = {"learner verification", "ledger open_lesson", "delivery record"}
    assert below <= {span.name for span in exported.spans}
    for name in below:
        span = exported.one(name)
        assert (span.context.trace_id, span.parent.span_id) == (
            root.context.trace_id,
            root.context.span_id,
        )
    assert exported.one("delivery record").attributes.items() >= IDS.items()


async def test_a_resumed_lesson_has_a_trace_of_its_own_that_links_to_the_one_before(
    host: HostUnderTest, exported: Exported
) -> None:
    """Also where that never came to a checkpoint; a lesson that is whole links nowhere."""
    jobs = [JobRef(f"job{number}", "room", "conversation") for number in range(3)]
    for job in jobs[:2]:
        host.lessons.begin(job)
        async with host.job(job) as link:
            await join(link)
        await until(lambda: host.dispatch_state.interrupted("room"))
    await teach(host, job=jobs[2])
    await until(lambda: len(exported.named(LESSON)) == 3)
    first, second, third = exported.named(LESSON)
    assert len({span.context.trace_id for span in (first, second, third)}) == 3
    assert first.links == ()
    for before, after in pairwise((first, second, third)):
        [link] = after.links
        assert (link.context.trace_id, link.context.span_id) == (
            before.context.trace_id,
            before.context.span_id,
        )


async def test_a_lesson_that_another_host_resumes_links_to_its_trace_as_well(
    open_host: Opened, exported: Exported, wall: Any
) -> None:
    """The ledger has it from the lesson's opening on, and from the last checkpoint of each job."""
    jobs = [JobRef(f"job{number}", "room", "conversation") for number in range(3)]
    for job in jobs:
        async with open_host() as host:
            host.loqua.arrived.clear()
            await recover(host.services)
            host.lessons.begin(job)
            async with host.job(job) as link:
                await join(link)
                wall.seconds += 60
                await link.send(made(30, words_learned=3))
                await until(lambda: host.loqua.arrived)
    first, second, third = exported.named(LESSON)
    assert [it.links[0].context.trace_id for it in (second, third)] == [
        first.context.trace_id,
        second.context.trace_id,
    ]


async def test_a_tutor_is_not_told_of_its_lessons_trace(
    host: HostUnderTest, exported: Exported
) -> None:
    """Its notes are its own."""
    async with host.job() as link:
        assert (await join(link)).state == {}
        await link.send(made())
        await until(lambda: host.loqua.arrived)
    await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        assert (await join(link)).state == {"scene": 1}
    assert exported.spans is not None


async def test_a_lesson_that_is_prefetched_begins_its_trace_then(
    host: HostUnderTest, exported: Exported
) -> None:
    """The job that comes goes on with it."""
    host.lessons.prefetch("room", "conversation", "maria")
    host.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: host.loqua.leased)
    assert exported.one("learner verification").parent
    await teach(host)
    await until(lambda: exported.named(LESSON))
    root = exported.one(LESSON)
    assert exported.one("learner verification").parent.span_id == root.context.span_id
    assert root.attributes["job_id"] == "job"


async def test_the_trace_of_a_lesson_prefetched_in_vain_ends(
    host: HostUnderTest, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spans of its work are exported all the same."""
    monkeypatch.setattr(prefetcher, "PREFETCH_SECONDS", 0.01)
    host.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: exported.named(LESSON))


async def test_the_trace_of_a_job_that_never_joins_ends_with_it(
    host: HostUnderTest, exported: Exported
) -> None:
    """Once."""
    host.lessons.begin(JOB)
    host.lessons.end(JOB)
    assert exported.one(LESSON).attributes["job_id"] == "job"
    host.lessons.end(JOB)


async def test_a_refused_lesson_is_traced_as_far_as_it_came(
    host: HostUnderTest, exported: Exported
) -> None:
    """It names no lesson."""
    host.loqua.failing = always("lease", RefusedError("user-token", "no", status=403))
    host.lessons.begin(JOB)
    async with host.job() as link:
        await join(link)
    await until(lambda: exported.named(LESSON))
    assert exported.named("learner verification")


async def test_the_job_s_spans_join_its_trace_whatever_they_claim(
    host: HostUnderTest, exported: Exported
) -> None:
    """Without a parent they are below the host's; tutor and lesson are the host's to say."""
    lie = {"user_id": "ana", "tutor": "grammar", "n": 1}
    moment = {"name": "first_frame", "at": 6, "attributes": {"n": 2}}
    turn = job_span("turn", 2, 1, attributes=lie, failed=True, events=[moment])
    await teach(host, turn, job_span("agent_session", 1))
    await until(lambda: exported.named(LESSON))
    session, turned, root = (exported.one(it) for it in ("agent_session", "turn", LESSON))
    assert session.parent.span_id == root.context.span_id
    assert turned.parent.span_id == session.context.span_id
    assert {it.context.trace_id for it in (session, turned)} == {root.context.trace_id}
    assert turned.attributes == {**IDS, "tutor": "conversation", "n": 1}
    assert turned.resource.attributes["service.name"] == "loqua-host-job"
    assert (turned.start_time, turned.end_time, turned.status.status_code) == (
        *(5, 7),
        trace.StatusCode.ERROR,
    )
    assert [(it.name, it.timestamp, dict(it.attributes)) for it in turned.events] == [
        ("first_frame", 6, {"n": 2})
    ]


async def test_what_a_job_has_in_its_spans_is_not_exported_unless_it_is_a_name_or_a_number(
    host: HostUnderTest, exported: Exported
) -> None:
    """A tutor may send anything to the host; the host filters last."""
    said = {"lk.pii.n": 4711, "word": "quokka", "gen_ai.input.messages": "quokka"}
    event = JobSpanEvent(name="heard", at=6, attributes={**said, "lk.speech_id": "speech_1"})
    await teach(host, job_span("turn", 1, attributes={**said, "n": 1}, events=[event.model_dump()]))
    turn = exported.one("turn")
    assert "quokka" not in turn.to_json()
    assert "4711" not in turn.to_json()
    assert turn.attributes == {**IDS, "tutor": "conversation", "n": 1}
    assert dict(turn.events[0].attributes) == {"lk.speech_id": "speech_1"}


async def test_without_a_collector_nothing_is_traced(host: HostUnderTest) -> None:
    """It costs a lesson nothing, and its job knows that tracing is off."""
    with open_traces({}) as traced:
        welcome = await teach(host, job_span("turn", 1))
    assert (traced, welcome.traced, Exporter.made) == (False, False, [])


@pytest.mark.parametrize(
    ("sampler", "share", "is_sampled"),
    [
        ("always_on", "", True),
        ("always_off", "", False),
        ("traceidratio", "0", False),
        ("parentbased_traceidratio", "1", True),
        ("parentbased_always_off", "", False),
    ],
)
async def test_a_job_is_sampled_whole_or_not_at_all(
    host: HostUnderTest, providers: list[TracerProvider], sampler: str, share: str, is_sampled: bool
) -> None:
    """OpenTelemetry's variables decide; a later delivery has the same decision."""
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": share}
    with open_traces(ENDPOINT | {name: value for name, value in environ.items() if value}):
        exported = Exported(providers[0])
        welcome = await teach(host, job_span("turn", 1))
        if is_sampled:
            await until(lambda: exported.named(LESSON))
        names = {span.name for span in exported.spans}
    assert welcome.traced is is_sampled
    expected = {LESSON, "turn", "learner verification", "ledger open_lesson", "delivery record"}
    assert expected <= names if is_sampled else names == set()


def test_only_what_is_done_for_a_lesson_is_traced(exported: Exported) -> None:
    """The ledger is asked every few seconds for nobody in particular."""
    with writer.tracer.start_as_current_span("ledger backlog"):
        writer.tracer.start_span("ledger outbox").end()
    with trace.use_span(tracing.start_trace("room", "grammar"), end_on_exit=True):
        writer.tracer.start_span("token exchange").end()
    assert [span.name for span in exported.spans] == ["token exchange", LESSON]


def test_what_an_error_says_is_not_exported(exported: Exported) -> None:
    """It may quote what somebody said; its type may be shown."""
    with (
        pytest.raises(ValueError, match="quokka"),
        trace.use_span(tracing.start_trace("room", "grammar")),
        writer.tracer.start_as_current_span("ledger close_lesson"),
    ):
        raise ValueError(f"quokka {JWT}")
    span = exported.one("ledger close_lesson")
    assert "quokka" not in span.to_json()
    assert JWT not in span.to_json()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert dict(span.events[0].attributes) == {"exception.type": "ValueError"}


def test_a_text_is_cut(exported: Exported) -> None:
    """By OpenTelemetry's own limit."""
    tracing.start_trace("room" * 1000, "grammar").end()
    assert len(exported.one(LESSON).attributes["room"]) == LONGEST_TEXT


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
    ids=["none", "all", "traces", "otlp", "off", "Off", "disabled", "DISABLED"],
)
def test_traces_are_on_where_the_variables_say_so(
    environ: dict[str, str], on: bool, providers: list[TracerProvider]
) -> None:
    """Else there is nothing that would export."""
    with open_traces(environ) as traced:
        assert traced is on
    assert len(Exporter.made) == len(providers) == on


def test_a_collector_s_secret_is_in_the_environment_for_no_longer_than_it_is_read() -> None:
    """Child processes do not inherit it."""
    with open_traces(ENDPOINT | {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret"}):
        assert not [name for name in os.environ if name.startswith("OTEL_")]
    assert Exporter.made[0].headers == "x-key=secret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-4"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999"),
    ],
)
def test_a_variable_that_opentelemetry_refuses_stops_the_start(name: str, value: str) -> None:
    """In its own words."""
    with (
        pytest.raises(ConfigError, match=r"OTEL_\*: .* must be .*; correct or unset it"),
        open_traces(ENDPOINT | {name: value}),
    ):
        pytest.fail("it was opened")
    assert not [it for it in os.environ if it.startswith("OTEL_")]


def test_what_opentelemetry_warns_of_is_logged_without_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its SDK goes on with another value."""
    stream, logger = StringIO(), logging.getLogger("opentelemetry")
    handler = logging.StreamHandler(stream)
    handler.addFilter(Redaction())
    monkeypatch.undo()  # with the exporter that reads the headers
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: None)
    logger.addHandler(handler)
    try:
        wrong = {"OTEL_EXPORTER_OTLP_HEADERS": "a-secret", "OTEL_TRACES_SAMPLER": "jaeger_remote"}
        with open_traces(ENDPOINT | wrong):
            pass
    finally:
        logger.removeHandler(handler)
    assert "Couldn't recognize sampler" in stream.getvalue()
    assert "re.py" in stream.getvalue()  # where it has the headers in its message
    assert "a-secret" not in stream.getvalue()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "loqua-host"),
        ({"OTEL_SERVICE_NAME": "tutors"}, "tutors"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=madrid,region=eu"}, "madrid"),
    ],
    ids=["ours", "service", "resource"],
)
def test_the_service_is_named_as_the_variables_say(
    environ: dict[str, str], name: str, providers: list[TracerProvider]
) -> None:
    """By the host's own name without them."""
    with open_traces(ENDPOINT | environ):
        assert providers[0].resource.attributes["service.name"] == name


def test_spans_bear_the_attributes_that_the_variables_say() -> None:
    """They may contain the place of the host."""
    with open_traces(ENDPOINT | {"OTEL_RESOURCE_ATTRIBUTES": "region=eu,zone=a"}):
        tracing.start_trace("room", "grammar").end()
    [span] = Exporter.made[0].spans
    assert span.resource.attributes.items() >= {("region", "eu"), ("zone", "a")}


def test_spans_go_in_batches_as_the_variables_say() -> None:
    """No more at once than the collector takes, and none is lost by it."""
    environ = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2", "OTEL_BSP_MAX_QUEUE_SIZE": "100"}
    with open_traces(ENDPOINT | environ):
        for _ in range(5):
            tracing.start_trace("room", "grammar").end()
    assert (len(Exporter.made[0].spans), Exporter.made[0].most) == (5, 2)

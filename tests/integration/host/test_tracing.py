"""A lesson's trace from a real host and its job, at an OTLP receiver."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.integration.host.conftest import PATIENCE, Deployment, explicit, new_room

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = "a-collector-s-own-secret"

EXPECTED = {
    "learner verification": ("loqua-host", {"lesson"}),
    "token exchange": ("loqua-host", {"lesson"}),
    "api user-token": ("loqua-host", {"token exchange"}),
    "api context": ("loqua-host", {"lesson"}),
    "ledger open_lesson": ("loqua-host", {"lesson"}),
    "delivery record": ("loqua-host", {"lesson"}),
    "api progress": ("loqua-host", {"delivery in_progress", "delivery completed"}),
    "api sessions": ("loqua-host", {"delivery record"}),
    "room_connect": ("loqua-host-job", {"lesson"}),
    "hook create_agent": ("loqua-host-job", {"lesson"}),
    "agent_session": ("loqua-host-job", {"lesson"}),
    "session_start": ("loqua-host-job", {"agent_session"}),
    "hook on_session_end": ("loqua-host-job", {"lesson"}),
}
"""The spans of a lesson, the process each is of, and what may be above it."""


@dataclass(slots=True)
class Collector:
    """An OTLP collector that keeps its spans."""

    url: str = ""
    spans: dict[bytes, Span] = field(default_factory=dict)
    services: dict[bytes, str] = field(default_factory=dict)
    headers: set[str | None] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Take one export."""
        self.headers.add(request.headers.get("x-collector"))
        exported = ExportTraceServiceRequest.FromString(await request.read())
        for resource in exported.resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                assert span.span_id not in self.spans
                self.spans[span.span_id] = span
                self.services[span.span_id] = named["service.name"]
        self._news.set()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    async def until(self, name: str) -> Span:
        """Wait for a span of that name."""
        async with asyncio.timeout(PATIENCE):
            while not (found := self.named(name)):
                self._news.clear()
                await self._news.wait()
        return found[0]

    def named(self, name: str) -> list[Span]:
        """Return the spans of that name."""
        return [one for one in self.spans.values() if one.name == name]

    def tree(self) -> list[str]:
        """Return all spans, each below its parent and after its elder siblings."""
        roots = [one for one in self.spans.values() if one.parent_span_id not in self.spans]
        begun = min(one.start_time_unix_nano for one in self.spans.values())
        return [line for root in roots for line in self._lines(root, 0, begun)]

    def _lines(self, span: Span, depth: int, begun: int) -> Iterator[str]:
        after = (span.start_time_unix_nano - begun) / 1e6
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
        name = f"{'  ' * depth}{span.name}"
        yield f"{name:<44}{after:>9.1f} ms {took:>9.1f} ms  {self.services[span.span_id]}"
        below = [one for one in self.spans.values() if one.parent_span_id == span.span_id]
        for child in sorted(below, key=lambda one: one.start_time_unix_nano):
            yield from self._lines(child, depth + 1, begun)


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Serve OTLP over HTTP on loopback."""
    collecting = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collecting.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    collecting.url = f"http://{host}:{port}"
    try:
        yield collecting
    finally:
        await runner.cleanup()


def attributes(span: Span) -> dict[str, object]:
    """Return a span's attributes."""
    values = ((one.key, one.value) for one in span.attributes)
    return {key: getattr(value, value.WhichOneof("value") or "") for key, value in values}


async def test_a_job_is_one_trace_from_its_acceptance_to_the_delivered_record(
    deployment: Deployment, tmp_path: Path
) -> None:
    """With the job's spans and LiveKit's own; after a crash of the tutor the next links to it."""
    name, room = "probe-traced", new_room()
    async with collector() as collecting:
        exporting = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector={HEADER}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        async with deployment.host(tmp_path, explicit(name), environ=exporting) as host:
            host.script(room, tutor="probe-specialist", killed_at=4)
            async with deployment.visit(room, agent_name=name) as learner:
                await host.log.until("lesson.resumed", room=room)
                await host.log.until("progress.made", user_id=learner.user_id, count=4)
            await deployment.api.until("sessions", learner.user_id)
            await collecting.until("delivery record")
    tree = "\n".join(collecting.tree())
    lines = "\n".join(line for line in host.log.raw if learner.session_id in line)
    sys.stdout.write(f"{tree}\n\n{lines}\n")  # for whoever runs it with -s
    spans = collecting.spans
    assert collecting.headers == {HEADER}
    first, second = sorted(collecting.named("lesson"), key=lambda one: one.start_time_unix_nano)
    assert {one.trace_id for one in spans.values()} == {first.trace_id, second.trace_id}, tree
    assert first.trace_id != second.trace_id
    assert (first.parent_span_id, second.parent_span_id, len(first.links)) == (b"", b"", 0)
    [link] = second.links
    assert (link.trace_id, link.span_id) == (first.trace_id, first.span_id)
    for name, (service, parents) in EXPECTED.items():
        found = collecting.named(name)
        assert found, f"no {name} in\n{tree}"
        for one in found:
            assert collecting.services[one.span_id] == service, f"{name} in\n{tree}"
            # A tutor that is killed leaves spans that never ended, and are never exported.
            if one.parent_span_id in spans or one.trace_id == second.trace_id:
                assert spans[one.parent_span_id].name in parents, f"{name} in\n{tree}"
    for one in collecting.named("lesson") + collecting.named("agent_session"):
        fields = attributes(one)
        assert fields["session_id"] == learner.session_id, one.name
        assert (fields["user_id"], fields["agent_id"]) == (learner.user_id, "loqua-test")
    [progress, *_] = collecting.named("api progress")
    assert attributes(progress).items() >= {"endpoint": "progress", "status": 200}.items()
    everything = "".join(str(one) for one in spans.values())
    assert not re.search(r"eyJ[\w-]{8,}\.", everything)

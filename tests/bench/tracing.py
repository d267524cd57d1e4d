"""The cost of a traced API call: its span with an event, with traces off and on.

Run `uv run python tests/bench/tracing.py`; it prints microseconds a call, the best of many rounds,
and fails when traces that are off cost more than 0.1 % of a call that takes 20 ms.
"""

import json
import sys
import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from loqua_host.lessons import tracing

ROUNDS = 200
CALLS = 100
ENOUGH = 20.0
"""Microseconds."""

tracer = trace.get_tracer("loqua_host")


class Nowhere(SpanExporter):
    """A span exporter that drops all spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans."""
        del spans
        return SpanExportResult.SUCCESS


def call() -> None:
    """Do what a call to the API does for its trace."""
    with tracer.start_as_current_span(
        "api progress",
        kind=trace.SpanKind.CLIENT,
        attributes={"endpoint": "progress"},
        record_exception=False,
    ) as span:
        span.set_attributes({"attempts": 1, "status": 200})
        span.add_event("attempt", {"outcome": "ok", "status": 200, "seconds": 0.02})


def measure() -> float:
    """Return the microseconds that one takes when nothing else runs."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append(time.perf_counter() - begun)
    return round(min(rounds) / CALLS * 1e6, 2)


def main() -> int:
    """Measure with traces off, then on; print one JSON object."""
    figures = {"off": measure()}
    tracing.OTLPSpanExporter = Nowhere  # type: ignore[attr-defined, misc]  # no collector is needed
    with tracing.open_traces({"OTEL_TRACES_EXPORTER": "otlp"}):
        figures["outside a lesson"] = measure()
        with trace.use_span(tracing.start_trace("room", "tutor")):
            figures["in a lesson"] = measure()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["off"] < ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())

"""OpenTelemetry's variables: whether tracing is on, and unsupported values.

OpenTelemetry validates everything else when the host starts (loqua_host.lessons.tracing).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from loqua_host.errors import Problem
from loqua_host.system.addresses import WEB, normalise

__all__ = ["COLLECTORS", "COLLECTOR_HEADERS", "tracing_problems", "wants_traces"]

COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's variables for the collector's address; any of them enables tracing."""

COLLECTOR_HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""The authentication headers for a collector; a secret."""

_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
"""The first one that is set applies."""


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Return whether lessons are traced."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get(_EXPORTER, "").lower()
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in COLLECTORS))


def tracing_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find what prevents the export of traces."""
    if environ.get(_EXPORTER, "none").lower() not in ("otlp", "none"):
        yield Problem(_EXPORTER, "names an unsupported exporter", "write otlp or none")
    for variable in COLLECTORS:
        try:
            if address := environ.get(variable):
                normalise(address, WEB)
        except ValueError as error:
            yield Problem(
                variable, str(error), "write, for example, https://collector.loqua.app:4318"
            )
    chosen = next((name for name in _PROTOCOLS if environ.get(name)), None)
    if wants_traces(environ) and chosen and environ[chosen].lower() != "http/protobuf":
        what = "names an unsupported protocol"
        hint = "unset it, or write http/protobuf and the collector's port for it: 4318, not 4317"
        yield Problem(chosen, what, hint)

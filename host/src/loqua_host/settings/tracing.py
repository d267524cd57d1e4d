"""OpenTelemetry's variables: whether they ask for traces, and what of them nobody would heed.

Its SDK warns of a value that it does not know and goes on with another. A host says so at its
start: who samples one lesson in a hundred does not mean all
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from loqua_host.addresses import WEB, normalise
from loqua_host.errors import Problem

__all__ = ["COLLECTORS", "COLLECTOR_HEADERS", "tracing_problems", "wants_traces"]

COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's variables for where traces go; any of them has lessons be traced."""

COLLECTOR_HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""What a collector knows the host by; a secret."""

_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
"""The first of them that is set counts."""

_HEADERS: Final = re.compile(r"(?:\s*[\w.-]+\s*=[^,]*(?:,|$))*")
_COUNT: Final = re.compile(r"[1-9]\d{0,8}")
_ROOTS: Final = ("always_on", "always_off", "traceidratio")
_SAMPLERS: Final = (*_ROOTS, *(f"parentbased_{root}" for root in _ROOTS))


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


_RULES: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "OTEL_TRACES_SAMPLER": (_SAMPLERS.__contains__, f"write one of {', '.join(_SAMPLERS)}"),
    "OTEL_TRACES_SAMPLER_ARG": (_is_share, "write the share to keep, from 0 to 1: 0.1"),
    "OTEL_BSP_SCHEDULE_DELAY": (_COUNT.fullmatch, "write milliseconds"),
    "OTEL_BSP_EXPORT_TIMEOUT": (_COUNT.fullmatch, "write milliseconds"),
    "OTEL_BSP_MAX_QUEUE_SIZE": (_COUNT.fullmatch, "write a number of spans"),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": (_COUNT.fullmatch, "write a number of spans"),
}


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Say whether lessons are to be traced."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get(_EXPORTER, "").lower()
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in COLLECTORS))


def tracing_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find what keeps traces from a collector; nothing, where none are wanted."""
    if environ.get(_EXPORTER, "none").lower() not in ("otlp", "none"):
        yield Problem(_EXPORTER, "names an exporter that is not here", "write otlp or none")
    for variable in COLLECTOR_HEADERS:
        if not _HEADERS.fullmatch(environ.get(variable, "")):
            yield Problem(
                variable, "is no list of headers", "write name=value, separated by commas"
            )
    for variable in COLLECTORS:
        yield from _address_problems(variable, environ.get(variable))
    if wants_traces(environ):
        yield from _protocol_problems(environ)
        for variable, (allows, mend) in _RULES.items():
            if variable in environ and not allows(environ[variable].lower()):
                yield Problem(variable, "is not what OpenTelemetry asks for", mend)


def _address_problems(variable: str, address: str | None) -> Iterator[Problem]:
    try:
        if address:
            normalise(address, WEB)
    except ValueError as error:
        yield Problem(variable, str(error), "write such as https://collector.loqua.app:4318")


def _protocol_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    chosen = next((name for name in _PROTOCOLS if environ.get(name)), None)
    if chosen is not None and environ[chosen].lower() != "http/protobuf":
        what = "names a protocol that this host does not speak"
        mend = "unset it, or write http/protobuf and the collector's port for it: 4318, not 4317"
        yield Problem(chosen, what, mend)

"""OpenTelemetry's variables, as far as somebody would rely on them in vain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.settings.load import draft

Mistakes = Callable[..., list[str]]
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_a_collector_of_traces_must_speak_our_protocol(mistakes: Mistakes) -> None:
    """Its spans would go nowhere."""
    [mistake] = mistakes(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", **COLLECTOR)
    assert "does not speak; unset it, or write http/protobuf" in mistake


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "none"} | COLLECTOR,
        {"OTEL_TRACES_SAMPLER": "jaeger_remote", "OTEL_SDK_DISABLED": "true"} | COLLECTOR,
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        }
        | COLLECTOR,
    ],
)
def test_a_variable_that_counts_for_nothing_here_may_say_anything(
    mistakes: Mistakes, environ: dict[str, str]
) -> None:
    """It may be there for all that runs on the machine."""
    assert mistakes(**environ) == []


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("OTEL_TRACES_EXPORTER", "console", "write otlp or none"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "write one of always_on, always_off, "),
        ("OTEL_TRACES_SAMPLER_ARG", "10%", "write the share to keep, from 0 to 1: 0.1"),
        ("OTEL_TRACES_SAMPLER_ARG", "10", "write the share to keep, from 0 to 1: 0.1"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan", "write the share to keep, from 0 to 1: 0.1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "write milliseconds"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0", "write milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "write a number of spans"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", "write a number of spans"),
    ],
)
def test_a_variable_that_opentelemetry_would_ignore_stops_the_start(
    mistakes: Mistakes, name: str, value: str, mend: str
) -> None:
    """Its SDK would warn, and go on with another value than was meant."""
    [mistake] = mistakes(**COLLECTOR, **{name: value})
    assert mistake.startswith(f"{name}: ")
    assert f"; {mend}" in mistake


def test_opentelemetry_s_own_values_are_taken(mistakes: Mistakes) -> None:
    """In capitals, too."""
    environ = {
        "OTEL_TRACES_EXPORTER": "OTLP",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/protobuf",
        "OTEL_TRACES_SAMPLER": "ParentBased_TraceIdRatio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    assert mistakes(**COLLECTOR, **environ) == []


@pytest.mark.parametrize("headers", ["secret", "x-key: secret", "x-key=secret,secret"])
def test_a_collector_s_headers_that_are_none_are_not_shown(
    mistakes: Mistakes, headers: str
) -> None:
    """They hold a secret."""
    [mistake] = mistakes(OTEL_EXPORTER_OTLP_HEADERS=headers)
    assert mistake.endswith("is no list of headers; write name=value, separated by commas")
    assert "secret" not in mistake


@pytest.mark.parametrize("headers", ["x-key=secret", "a=b, x.key = Basic%20c2VjcmV0==,", ""])
def test_a_collector_s_headers_are_a_list(mistakes: Mistakes, headers: str) -> None:
    """As OpenTelemetry reads them."""
    assert mistakes(OTEL_EXPORTER_OTLP_HEADERS=headers) == []


def test_in_production_traces_travel_encrypted(config: Path) -> None:
    """They name learners."""
    environ = {
        "LOQUA_ENVIRONMENT": "production",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel.loqua.app:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces",
    }
    found = [problem.where for problem in draft(config, environ).problems]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in found
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" not in found

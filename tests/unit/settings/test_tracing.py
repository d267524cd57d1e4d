"""OpenTelemetry's variables that the host does not support."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.settings.load import draft

Mistakes = Callable[..., list[str]]
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_a_collector_of_traces_must_speak_our_protocol(mistakes: Mistakes) -> None:
    """Its spans would go nowhere."""
    [mistake] = mistakes(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", **COLLECTOR)
    assert "unsupported protocol; unset it, or write http/protobuf" in mistake


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "none"} | COLLECTOR,
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


def test_an_exporter_that_is_not_here_is_named(mistakes: Mistakes) -> None:
    """OpenTelemetry's SDK is not asked for one."""
    [mistake] = mistakes(**COLLECTOR, OTEL_TRACES_EXPORTER="console")
    assert mistake.startswith("OTEL_TRACES_EXPORTER: ")
    assert mistake.endswith("; write otlp or none")


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

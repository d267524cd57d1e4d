"""The TCP ports that a tutor's lessons need."""

import pytest
from pydantic import JsonValue

from loqua_host.settings.engines import Engines
from loqua_host.settings.sandbox import TutorSandbox, needed_ports

ALWAYS = {53, 5349, 7881}


@pytest.mark.parametrize(
    ("settings", "engines", "ports"),
    [
        pytest.param({}, {}, set(), id="nothing"),
        pytest.param({"scorer": "http://127.0.0.1:8085/v1"}, {}, {8085}, id="setting"),
        pytest.param({"a": [{"b": "https://a.example/x"}], "c": 80}, {}, {443}, id="nested"),
        pytest.param(
            {"said": "http: a word", "odd": "http://[", "b": "x:99"}, {}, set(), id="text"
        ),
        pytest.param({}, {"llm": {"use": "a:B"}}, set(), id="engine in the job"),
        pytest.param({}, {"llm": {"use": "a:B", "secrets": {"k": "K"}}}, {443}, id="hosted engine"),
        pytest.param(
            {},
            {"tts": {"use": "a:B", "options": {"base_url": "ws://a:9"}, "secrets": {"k": "K"}}},
            {9},
            id="engine at an address",
        ),
    ],
)
def test_ports_of_addresses_need_no_grant(
    settings: dict[str, JsonValue], engines: dict[str, object], ports: set[int]
) -> None:
    """LiveKit's media, and names of machines, are needed always."""
    needed = needed_ports(settings, Engines.model_validate(engines), ["ws://127.0.0.1:7880"])
    assert set(needed) == ports | ALWAYS | {7880}


def test_any_port_may_be_granted() -> None:
    """Or some."""
    assert TutorSandbox(network="any").ports is None
    assert TutorSandbox(network=(443,)).ports == (443,)

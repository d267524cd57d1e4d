"""Tests of the imports of the process that jobs are forked from."""

import pytest

from loqua_host.cli.run import _preload
from loqua_host.livekit_inference import CLIENT
from loqua_host.settings.host import HostSettings
from loqua_host.settings.tutors import TutorSettings

KEY = {"api_key": "OPENAI_KEY"}


def host(*, engine: dict[str, object], secrets: list[str]) -> HostSettings:
    """Return a host with one tutor, and one speech recognition for all."""
    tutor = TutorSettings.model_validate(
        {"name": "grammar", "plugin": "grammar", "worker_type": "explicit", "secrets": secrets}
    )
    settings = {
        "agent_id": "agent",
        "environment": "development",
        "livekit": {"url": "ws://livekit"},
        "api": {"api_base_url": "http://api"},
        "engines": {"stt": engine},
        "tutors": [tutor],
    }
    return HostSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("engine", "secrets", "wanted"),
    [
        pytest.param({"use": "speech:STT", "secrets": KEY}, [], True, id="an engine with a key"),
        pytest.param({"use": "speech:STT"}, ["OPENAI_KEY"], True, id="a tutor with a key"),
        pytest.param({"use": "speech:STT"}, [], False, id="no key"),
    ],
)
def test_a_hosted_model_is_ready_before_the_first_lesson_if_anybody_has_a_key(
    engine: dict[str, object],
    secrets: list[str],
    wanted: bool,
) -> None:
    """Without one, its client is neither waited for nor in memory."""
    modules = _preload(host(engine=engine, secrets=secrets))
    assert (CLIENT in modules) is wanted
    assert "speech" in modules

"""The engines of a lesson, as config names them."""

import pytest
from livekit.agents import NOT_GIVEN

from loqua_host.contract.engines import Engine
from loqua_host.job.voice import _build

ENGINE = Engine.model_validate(
    {
        "use": "types:SimpleNamespace",
        "with": {"language": "{language}", "model": "whisper-{language}", "speed": 2},
        "secrets": {"api_key": "OPENAI_API_KEY"},
    }
)


def test_an_engine_gets_its_arguments_the_language_and_its_secrets() -> None:
    """From an import string: any class, of any distribution."""
    built = _build(ENGINE, "es", {"OPENAI_API_KEY": "sk-1", "OTHER": "not for it"})
    assert vars(built) == {
        "language": "es",
        "model": "whisper-es",
        "speed": 2,
        "api_key": "sk-1",
    }


def test_an_absent_engine_is_left_to_the_tutors_agent() -> None:
    """None would switch it off."""
    assert _build(None, "es", {}) is NOT_GIVEN


def test_a_secret_that_was_not_granted_is_named() -> None:
    """The name is no secret."""
    with pytest.raises(KeyError, match="OPENAI_API_KEY"):
        _build(ENGINE, "es", {})

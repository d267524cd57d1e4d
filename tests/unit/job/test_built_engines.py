"""The engines of a lesson, built from config/."""

from typing import Any

import pytest
from livekit.agents import NOT_GIVEN

from loqua_host.job.engines.build import EngineWatch, build_engine, build_engines, build_voice
from loqua_host.job.engines.fallbacks import FallbackLLM, FallbackSTT, FallbackTTS
from loqua_host.settings.engines import Engine, Engines

ENGINE = Engine.model_validate(
    {
        "use": "types:SimpleNamespace",
        "options": {
            "language": "{language}",
            "model": "whisper-{language}",
            "speed": 2,
            "voice": {"languages": ["{language}", "en"]},
        },
        "secrets": {"api_key": "OPENAI_API_KEY"},
    }
)


def fake(name: str, does: str = "ends") -> dict[str, Any]:
    """Write a fake engine as config does."""
    return {"use": f"tests.unit.job.test_built_engines:{name}", "options": {"does": does}}


def make(name: str, does: str) -> Any:
    """Make a fake engine."""
    from tests.unit.job import engines  # noqa: PLC0415  # as a provider's plugin is imported

    return getattr(engines, name)(getattr(engines, does))


def tts(does: str) -> Any:
    """Make a voice."""
    return make("FakeTTS", does)


def stt(does: str) -> Any:
    """Make a recogniser."""
    return make("FakeSTT", does)


def llm(does: str) -> Any:
    """Make a model."""
    return make("FakeLLM", does)


def build(kind: Any, *engines: dict[str, Any], serves: Any = None) -> Any:
    """Build the engines of one kind."""
    named = Engines.model_validate({kind: list(engines)})
    vad: Any = object()
    watch = EngineWatch(serves) if serves else EngineWatch()
    return build_engines(kind, named, "es", {}, vad=vad, watch=watch)


def test_an_engine_gets_its_arguments_the_language_and_its_secrets() -> None:
    """From an import string: any class, of any distribution; the language however deep."""
    built = build_engine(ENGINE, "es", {"OPENAI_API_KEY": "sk-1", "OTHER": "not for it"})
    assert vars(built) == {
        "language": "es",
        "model": "whisper-es",
        "speed": 2,
        "voice": {"languages": ["es", "en"]},
        "api_key": "sk-1",
    }


def test_a_voice_in_another_language_is_the_first_engine_in_that_language() -> None:
    """For what a tutor says in the learner's native language."""
    engines = Engines(tts=(ENGINE, Engine(use="types:SimpleNamespace")))
    built: Any = build_voice(engines, {"OPENAI_API_KEY": "sk-1"}, "fr")
    assert built.voice == {"languages": ["fr", "en"]}


@pytest.mark.parametrize(
    "engines",
    [Engines(), Engines(tts=(Engine(use="types:SimpleNamespace", options={"voice": "alloy"}),))],
    ids=["none", "of all languages"],
)
def test_there_is_no_other_voice_where_the_language_is_not_configured(engines: Engines) -> None:
    """It would be the same one."""
    assert build_voice(engines, {}, "fr") is None


def test_a_secret_that_was_not_granted_is_named() -> None:
    """The name is no secret."""
    with pytest.raises(KeyError, match="OPENAI_API_KEY"):
        build_engine(ENGINE, "es", {})


def test_an_absent_engine_is_left_to_the_tutors_agent() -> None:
    """None would switch it off."""
    assert build("stt") is NOT_GIVEN


@pytest.mark.parametrize("kind", ["stt", "llm", "tts"])
def test_an_engine_by_itself_has_no_adapter_in_the_way(kind: str) -> None:
    """It answers as fast as it did."""
    assert type(build(kind, fake(kind))).__module__ == "tests.unit.job.engines"


async def test_a_list_stands_for_the_engine_that_serves() -> None:
    """Of each kind."""
    built = [build(kind, fake(kind), fake(kind)) for kind in ("stt", "llm", "tts")]
    assert [type(one) for one in built] == [FallbackSTT, FallbackLLM, FallbackTTS]


async def test_an_engine_that_cannot_be_built_is_left_out() -> None:
    """The others keep their index."""
    reported: list[tuple[str, int]] = []
    voice = build(
        "tts",
        fake("tts", "no_such_thing"),
        fake("tts", "refuses"),
        fake("tts", "one_second"),
        serves=lambda *what: reported.append(what),
    )
    async with voice.synthesize("Hola.") as sound:
        assert [piece async for piece in sound]
    assert reported == [("tts", 2)]


async def test_engines_of_which_none_can_be_built_are_an_error() -> None:
    """The lesson is refused, as with one."""
    with pytest.raises(AttributeError):
        build("tts", fake("tts", "no_such_thing"), fake("tts", "nor_this"))

"""Construction of a lesson's engines from the configuration."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from livekit.agents import NOT_GIVEN, tts
from livekit.agents.vad import VAD

from loqua_host.link.messages import EngineKind
from loqua_host.livekit_internals import sharing_certificates
from loqua_host.registry.loader import import_string
from loqua_host.settings.engines import Engine, Engines

from .failover import Failover
from .fallbacks import FallbackLLM, FallbackSTT, FallbackTTS

__all__ = ["EngineWatch", "build_engine", "build_engines", "build_voice"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineWatch:
    """The observer of a lesson's engines that are in lists.

    Attributes:
        serves: Called with kind and index of the serving engine whenever it changes.
        first: The index of the engine to start with, by kind, if it is not the first.
    """

    serves: Callable[[EngineKind, int], None] = lambda _kind, _index: None
    first: Mapping[EngineKind, int] = field(default_factory=dict)


def build_engines(
    kind: EngineKind,
    engines: Engines,
    language: str,
    secrets: Mapping[str, str],
    *,
    vad: VAD,
    watch: EngineWatch,
) -> Any:
    """Build the speech recognition, language model or speech synthesis of a lesson.

    Args:
        kind: The kind of engine.
        engines: The configured engines; those after the first are fallbacks.
        language: The ISO 639-1 code that replaces `{language}` in the engines' arguments.
        secrets: Values of the engines' secret arguments, by the secrets' names.
        vad: Voice activity detection, for engines that do not stream.
        watch: The observer of engines in lists.

    Returns:
        The engine, a fallback adapter for a list, or NOT_GIVEN if the tutor's agent brings one.
    """
    named = engines.of(kind)
    if not named:
        return NOT_GIVEN  # None would disable the engine
    if not named[1:]:
        return build_engine(named[0], language, secrets)
    built = dict(_sound(kind, named, language, secrets))
    failover = Failover(
        kind,
        tuple(built),
        asyncio.get_running_loop().time,
        lambda index: watch.serves(kind, index),
        first=watch.first.get(kind, 0),
    )
    listed = tuple(built.values())
    match kind:
        case "stt":
            return FallbackSTT(listed, failover, vad)
        case "llm":
            return FallbackLLM(listed, failover)
        case "tts":
            return FallbackTTS(listed, failover)


def build_engine(engine: Engine, language: str, secrets: Mapping[str, str]) -> Any:
    """Build one engine.

    Raises:
        KeyError: If a secret was not granted; the message has its name, which is not secret.
    """
    given = _filled(engine.options, language)
    secret = {name: secrets[variable] for name, variable in engine.secrets.items()}
    return import_string(engine.use)(**given, **secret)


def build_voice(
    engines: Engines, secrets: Mapping[str, str], language: str
) -> "tts.TTS[Any] | None":
    """Build the first configured speech synthesis for another language than the lesson's.

    Args:
        engines: The configured engines.
        secrets: Values of the engines' secret arguments, by the secrets' names.
        language: The ISO 639-1 code that replaces `{language}` in the engine's arguments.

    Returns:
        The engine, or None if there is none or its arguments do not depend on the language.
    """
    engine = next(iter(engines.tts), None)
    if engine is None or _filled(engine.options, language) == engine.options:
        return None
    with sharing_certificates():
        built: tts.TTS[Any] = build_engine(engine, language, secrets)
    return built


def _sound(
    kind: EngineKind, named: tuple[Engine, ...], language: str, secrets: Mapping[str, str]
) -> Iterator[tuple[int, Any]]:
    """Yield the engines that can be built, by their index.

    Raises:
        Exception: If none can be built: that of the last one.
    """
    sound = False
    for index, engine in enumerate(named):
        try:
            built = build_engine(engine, language, secrets)
        except Exception as error:
            log.exception("engine.unusable", engine=f"{kind}[{index}]", why=type(error).__name__)
            if index + 1 == len(named) and not sound:
                raise
        else:
            sound = True
            yield index, built


def _filled(value: Any, language: str) -> Any:
    """Return an argument with `{language}` replaced, at any depth of lists and mappings."""
    if isinstance(value, str):
        return value.replace("{language}", language)
    if isinstance(value, list):
        return [_filled(one, language) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, language) for key, one in value.items()}
    return value

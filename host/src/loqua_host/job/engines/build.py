"""The engines of a lesson, built as config names them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from livekit.agents import NOT_GIVEN
from livekit.agents.vad import VAD

from loqua_host.link.messages import EngineKind
from loqua_host.registry.loader import import_string
from loqua_host.settings.engines import Engine, Engines

from .failover import Failover
from .fallbacks import FallbackLLM, FallbackSTT, FallbackTTS

__all__ = ["EngineWatch", "build_engine", "build_engines"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineWatch:
    """Told of the engines of a lesson that are in lists.

    Attributes:
        serves: Takes kind and index of the engine that serves, whenever that changes.
        first: The index of the engine to begin with, by kind, where it is not the first.
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
    """Build what hears, thinks or speaks in a lesson.

    Args:
        kind: Which of them.
        engines: What config names; of a list, those after the first are fallbacks.
        language: ISO 639-1; fills `{language}` in the engines' arguments.
        secrets: Values for the engines' secret arguments, by the secrets' names.
        vad: For engines that hear utterance by utterance.
        watch: Told which engine of a list serves.

    Returns:
        The engine, one that stands for a list, or NOT_GIVEN where the tutor's agent brings one.
    """
    named = engines.of(kind)
    if not named:
        return NOT_GIVEN  # None would switch it off
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
        KeyError: A secret was not granted; its name is no secret.
    """
    given = _filled(engine.options, language)
    secret = {name: secrets[variable] for name, variable in engine.secrets.items()}
    return import_string(engine.use)(**given, **secret)


def _sound(
    kind: EngineKind, named: tuple[Engine, ...], language: str, secrets: Mapping[str, str]
) -> Iterator[tuple[int, Any]]:
    """Yield the engines that can be built, by their index.

    Raises:
        Exception: None can; whatever the last one raises.
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
    """Return an argument with `{language}` filled in, however deep in lists and mappings."""
    if isinstance(value, str):
        return value.replace("{language}", language)
    if isinstance(value, list):
        return [_filled(one, language) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, language) for key, one in value.items()}
    return value

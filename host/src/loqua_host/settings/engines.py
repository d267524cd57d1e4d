"""How config names the engines of a lesson: speech to text, language model, text to speech."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WrapValidator

from loqua_host.link.messages import ENGINE_KINDS, MOST_ENGINES, EngineKind

__all__ = ["Engine", "Engines", "ImportString", "TurnDelays"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"

ImportString = Annotated[str, StringConstraints(pattern=f"^{_DOTTED}:{_DOTTED}$")]
"""What to import, as `module:attribute`."""


class Engine(BaseModel):
    """One engine by import string, such as LiveKit's OpenAI plugin or any other."""

    model_config = _FROZEN

    use: ImportString = Field(
        description="what to call, as module:attribute (livekit.plugins.openai:STT)",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="its arguments; {language} in a text becomes the lesson's, as in es",
    )
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="arguments that are secret: argument name to the secret's name",
    )


def _as_tuple(written: object, validate: Callable[[object], "Fallbacks"]) -> "Fallbacks":
    """Return the engines that config names: none, one by itself, or a list."""
    if written is None:
        return ()
    if isinstance(written, list | tuple):
        return validate(written)
    return (Engine.model_validate(written),)  # its mistakes are named without an index


Fallbacks = tuple[Engine, ...]
"""Engines of one kind, best first: each replaces those before it while they fail."""

_Written = Annotated[
    Fallbacks,
    Field(max_length=MOST_ENGINES),
    WrapValidator(_as_tuple, json_schema_input_type=Engine | list[Engine] | None),
]


class TurnDelays(BaseModel):
    """When the tutor takes its turn, in seconds of silence after the learner's last word."""

    model_config = _FROZEN

    min_delay: float = Field(default=0.5, gt=0, le=10, description="seconds, at least")
    max_delay: float = Field(default=3.0, gt=0, le=30, description="seconds, at most")


class Engines(BaseModel):
    """The engines of a lesson; what is null or empty here a tutor's agent must bring."""

    model_config = _FROZEN

    stt: _Written = Field(
        default=(), description="speech to text: an engine, or a list with fallbacks, best first"
    )
    llm: _Written = Field(
        default=(), description="the tutor's mind: an engine, or a list with fallbacks, best first"
    )
    tts: _Written = Field(
        default=(), description="text to speech: an engine, or a list with fallbacks, best first"
    )
    turn: TurnDelays = Field(default=TurnDelays(), description="when the tutor takes its turn")

    def of(self, kind: EngineKind) -> Fallbacks:
        """Return the engines of one kind, best first."""
        engines: Fallbacks = getattr(self, kind)
        return engines

    def all(self) -> Iterator[Engine]:
        """Yield each engine of each kind."""
        for kind in ENGINE_KINDS:
            yield from self.of(kind)

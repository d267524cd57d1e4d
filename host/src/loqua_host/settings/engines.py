"""The section `engines:`: speech to text, language model, text to speech."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WrapValidator

from loqua_host.link.messages import ENGINE_KINDS, MOST_ENGINES, EngineKind

__all__ = ["Engine", "Engines", "ImportString", "TurnDelays"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"

ImportString = Annotated[str, StringConstraints(pattern=f"^{_DOTTED}:{_DOTTED}$")]
"""An import path, as `module:attribute`."""


class Engine(BaseModel):
    """One engine, such as LiveKit's OpenAI plugin."""

    model_config = _FROZEN

    use: ImportString = Field(
        description="the engine's class, as module:attribute (livekit.plugins.openai:STT)",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="its arguments; {language} in a text is replaced by the lesson's, such as es",
    )
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="its secret arguments: the argument's name and the secret's name",
    )


def _as_tuple(written: object, validate: Callable[[object], "Fallbacks"]) -> "Fallbacks":
    """Return the configured engines: none, a single engine, or a list."""
    if written is None:
        return ()
    if isinstance(written, list | tuple):
        return validate(written)
    return (Engine.model_validate(written),)  # its mistakes are named without an index


Fallbacks = tuple[Engine, ...]
"""Engines of one kind, best first. Each serves while those before it fail."""

_Written = Annotated[
    Fallbacks,
    Field(max_length=MOST_ENGINES),
    WrapValidator(_as_tuple, json_schema_input_type=Engine | list[Engine] | None),
]


class TurnDelays(BaseModel):
    """The silence after the learner's last word that ends the turn, in seconds."""

    model_config = _FROZEN

    min_delay: float = Field(
        default=0.9,
        gt=0,
        le=10,
        description="seconds if the learner has said what the tutor expects, up to 10; 1.45 times "
        "as many if the learner seems to have finished, twice as many after one or two words",
    )
    max_delay: float = Field(
        default=2.2,
        gt=0,
        le=30,
        description="seconds if the learner seems to continue, up to 30; 1.5 times as many after "
        "words that more must follow",
    )


class Engines(BaseModel):
    """The engines of a lesson. If one is null or empty, the tutor's agent must provide it."""

    model_config = _FROZEN

    stt: _Written = Field(
        default=(), description="speech to text: an engine, or a list with fallbacks, best first"
    )
    llm: _Written = Field(
        default=(), description="language model: an engine, or a list with fallbacks, best first"
    )
    tts: _Written = Field(
        default=(), description="text to speech: an engine, or a list with fallbacks, best first"
    )
    turn: TurnDelays = Field(
        default=TurnDelays(), description="how much silence ends the learner's turn"
    )

    def of(self, kind: EngineKind) -> Fallbacks:
        """Return the engines of one kind, best first."""
        engines: Fallbacks = getattr(self, kind)
        return engines

    def all(self) -> Iterator[Engine]:
        """Yield each engine of each kind."""
        for kind in ENGINE_KINDS:
            yield from self.of(kind)

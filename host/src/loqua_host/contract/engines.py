"""How config names what hears, speaks and thinks in a lesson."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Engine", "Engines", "HookLimits", "ImportString", "TurnDelays"]

_FROZEN = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"

ImportString = Annotated[str, StringConstraints(pattern=f"^{_DOTTED}:{_DOTTED}$")]
"""What to import, as `module:attribute`."""


class Engine(BaseModel):
    """One engine by import string, such as LiveKit's OpenAI plugin or any other."""

    model_config = _FROZEN

    use: ImportString = Field(
        description="what to call, as module:attribute (livekit.plugins.openai:STT)",
    )
    with_: dict[str, Any] = Field(
        default_factory=dict,
        alias="with",
        description="its arguments; {language} in a text becomes the lesson's, as in es",
    )
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="arguments that are secret: argument name to the secret's name",
    )


class TurnDelays(BaseModel):
    """When the tutor takes its turn, in seconds of silence after the learner's last word."""

    model_config = _FROZEN

    min_delay: float = Field(default=0.5, gt=0, le=10, description="seconds, at least")
    max_delay: float = Field(default=3.0, gt=0, le=30, description="seconds, at most")


class Engines(BaseModel):
    """The engines of a lesson; what is null here a tutor's agent must bring."""

    model_config = _FROZEN

    stt: Engine | None = Field(default=None, description="speech to text")
    llm: Engine | None = Field(default=None, description="the tutor's mind")
    tts: Engine | None = Field(default=None, description="text to speech")
    turn: TurnDelays = Field(default=TurnDelays(), description="when the tutor takes its turn")


class HookLimits(BaseModel):
    """How long each hook may take, in seconds."""

    model_config = _FROZEN

    create_agent: float = Field(default=10, gt=0, le=60, description="seconds")
    on_user_ready: float = Field(default=10, gt=0, le=60, description="seconds")
    on_progress_tick: float = Field(default=5, gt=0, le=60, description="seconds")
    on_session_end: float = Field(default=10, gt=0, le=60, description="seconds")

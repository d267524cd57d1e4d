"""What config/tutors/*.yaml and `engines:` may say."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

__all__ = [
    "Engine",
    "Engines",
    "Section",
    "TurnTaking",
    "TutorFile",
    "TutorSettings",
    "engine_secrets",
]

ImportString = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
AgentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]


class Section(BaseModel):
    """A part of the configuration: frozen, and a key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Engine(Section):
    """A speech engine or language model: what to import and how to create it."""

    use: ImportString = Field(
        description="the class to create, as an import string such as livekit.plugins.openai:STT"
    )
    arguments: dict[str, JsonValue] = Field(
        default={},
        alias="with",
        description="keyword arguments; {language} in a text becomes the lesson's ISO 639-1 code",
    )
    secrets: dict[str, SecretName] = Field(
        default={},
        description="keyword arguments taken from secrets, such as api_key: OPENAI_API_KEY",
    )


class TurnTaking(Section):
    """How long to wait before the learner's turn counts as over."""

    min_delay: float = Field(default=0.5, ge=0, le=10, description="seconds, 0 to 10")
    max_delay: float = Field(default=3.0, ge=0, le=30, description="seconds, 0 to 30")


class Engines(Section):
    """The engines of a lesson's voice session; a tutor's agent may bring its own instead."""

    stt: Engine | None = Field(default=None, description="the speech-to-text engine, or null")
    llm: Engine | None = Field(default=None, description="the language model, or null")
    tts: Engine | None = Field(default=None, description="the text-to-speech engine, or null")
    turn: TurnTaking = Field(default=TurnTaking(), description="when a turn is over")


class TutorFile(Section):
    """One file of config/tutors: which tutor, and how its lessons are dispatched."""

    plugin: str | None = Field(
        default=None, description="the plugin's entry-point name; the file's own name without it"
    )
    agent: ImportString | None = Field(
        default=None,
        description="instead of a plugin: a LiveKit Agent class such as my_module:MyAgent",
    )
    enabled: bool = Field(default=True, description="true, or false to run it no more")
    worker_type: Literal["automatic", "explicit"] = Field(
        description="automatic to join every new room, explicit to be called by agent_name"
    )
    agent_name: Name | None = Field(
        default=None, description="the name to dispatch an explicit tutor by, or null"
    )
    max_concurrent_jobs: int = Field(
        default=2, ge=1, le=1000, description="lessons at the same time, 1 to 1000"
    )
    agent_id: AgentId | None = Field(
        default=None, description="this tutor's own X-Agent-ID; AGENT_ID without it"
    )
    settings: dict[str, JsonValue] = Field(
        default={}, description="the tutor's own settings, as its plugin documents them"
    )
    engines: Engines = Field(
        default=Engines(), description="engines of its own; those of the host without them"
    )
    secrets: tuple[SecretName, ...] = Field(
        default=(), description="names of the variables whose values this tutor may have"
    )


class TutorSettings(TutorFile):
    """One tutor of the host, enabled or not."""

    name: Name = Field(description="the file's name without .yaml")

    @property
    def source(self) -> str:
        """What to load: a plugin's entry-point name, or `module:Class` of an agent."""
        return self.agent or self.plugin or self.name

    @property
    def secret_names(self) -> frozenset[str]:
        """The secrets of its own and of its own engines."""
        return frozenset(self.secrets) | engine_secrets(self.engines)


def engine_secrets(engines: Engines) -> frozenset[str]:
    """Give the names of all secrets that the engines ask for."""
    used = (engines.stt, engines.llm, engines.tts)
    return frozenset(name for engine in used if engine for name in engine.secrets.values())

"""What config/tutors/*.yaml may say."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from loqua_host.contract.tutor import Name, SecretName
from loqua_host.link.messages import ENGINE_KINDS
from loqua_host.settings.engines import Engine, Engines, ImportString

from .layered import LayeredSettings
from .lessons import AudioInput

__all__ = [
    "AgentId",
    "SecretPlace",
    "TutorSettings",
    "engine_places",
    "engine_secret_places",
    "engine_secrets",
]

AgentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]

Keys = tuple[str | int, ...]
"""The keys that lead to a value in a file, outermost first."""

SecretPlace = tuple[str | None, Keys]
"""Where a secret is named: in which tutor's file, or the host's, and by which keys."""


class TutorSettings(LayeredSettings):
    """One tutor, enabled or not: its file in config/tutors, under the variables of that tutor."""

    name: Annotated[str, SkipJsonSchema()] = Field(description="the file's name without .yaml")
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
        default=None,
        description="lower-case words joined by hyphens to call an explicit tutor by, or null",
    )
    max_concurrent_jobs: int = Field(
        default=2, ge=1, le=1000, description="lessons at the same time, 1 to 1000"
    )
    language: Language = Field(
        default="en",
        description="taught where the learner's preferences are not known, as ISO 639-1",
    )
    audio_input: AudioInput = Field(
        default="learner", description="learner, or all for all identified learners in the room"
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

    @model_validator(mode="before")
    @classmethod
    def _has_plugin(cls, written: Any) -> Any:
        if not isinstance(written, dict) or written.get("agent") or written.get("plugin"):
            return written
        return {**written, "plugin": written.get("name")}

    @property
    def is_automatic(self) -> bool:
        """Whether it joins every new room, and so yields to specialists."""
        return self.worker_type == "automatic"

    @property
    def source(self) -> str:
        """What to load: a plugin's entry-point name, or `module:Class` of an agent."""
        return self.agent or self.plugin or ""

    @property
    def secret_places(self) -> tuple[tuple[Keys, str], ...]:
        """The secrets of its own engines and its own, each after the keys that lead to it."""
        own = ((("secrets",), name) for name in self.secrets)
        return (*engine_secret_places(self.engines), *own)

    @property
    def secret_names(self) -> frozenset[str]:
        """The secrets of its own and of its own engines."""
        return frozenset(name for _, name in self.secret_places)

    def engines_over(self, shared: Engines) -> Engines:
        """Return its engines: its own where its file names one, else the shared ones."""
        own = {name: getattr(self.engines, name) for name in self.engines.model_fields_set}
        return shared.model_copy(update=own)


def engine_places(engines: Engines) -> Iterator[tuple[Keys, Engine]]:
    """Yield each engine with the keys that lead to it; one by itself needs no index."""
    for kind in ENGINE_KINDS:
        listed = engines.of(kind)
        for index, engine in enumerate(listed):
            yield ("engines", kind, *((index,) if listed[1:] else ())), engine


def engine_secret_places(engines: Engines) -> Iterator[tuple[Keys, str]]:
    """Yield each secret that an engine asks for, after the keys that lead to that engine."""
    for keys, engine in engine_places(engines):
        yield from ((keys, name) for name in engine.secrets.values())


def engine_secrets(engines: Engines) -> frozenset[str]:
    """Return the names of all secrets that the engines ask for."""
    return frozenset(name for _, name in engine_secret_places(engines))

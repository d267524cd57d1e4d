"""The settings in config/tutors/*.yaml: `TutorSettings`."""

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
from .resources import Resources
from .sandbox import TutorLimits, TutorSandbox

__all__ = [
    "AgentId",
    "SecretLocation",
    "TutorSettings",
    "engine_locations",
    "engine_secret_locations",
    "engine_secrets",
]

AgentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]

Keys = tuple[str | int, ...]
"""The keys that lead to a value in a file, outermost first."""

SecretLocation = tuple[str | None, Keys]
"""The place that names a secret: the tutor (None for the host), and the keys."""


class TutorSettings(LayeredSettings):
    """One tutor, enabled or not: its file in config/tutors, overridden by its variables."""

    name: Annotated[str, SkipJsonSchema()] = Field(description="the file's name without .yaml")
    plugin: str | None = Field(
        default=None, description="the plugin's entry-point name; default: the file's name"
    )
    agent: ImportString | None = Field(
        default=None,
        description="instead of a plugin: a LiveKit Agent class such as my_module:MyAgent",
    )
    enabled: bool = Field(default=True, description="true to run the tutor, else false")
    worker_type: Literal["automatic", "explicit"] = Field(
        description="automatic to join every new room, explicit to be called by agent_name"
    )
    agent_name: Name | None = Field(
        default=None,
        description="lower-case words joined by hyphens to call an explicit tutor by, or null",
    )
    max_concurrent_jobs: int = Field(
        default=2, ge=1, le=1000, description="the maximum of concurrent lessons, 1 to 1000"
    )
    resources: Resources | None = Field(
        default=None,
        description="the class of hosts that run it: conversation, ai-processing, specialised, or "
        "null",
    )
    language: Language = Field(
        default="en",
        description="the ISO 639-1 code of the language taught if the learner's preferences are "
        "unknown",
    )
    audio_input: AudioInput = Field(
        default="learner", description="learner, or all for all identified learners in the room"
    )
    agent_id: AgentId | None = Field(
        default=None, description="this tutor's own X-Agent-ID; default: AGENT_ID"
    )
    settings: dict[str, JsonValue] = Field(
        default={}, description="the tutor's own settings, as its plugin documents them"
    )
    engines: Engines = Field(default=Engines(), description="its own engines; default: the host's")
    secrets: tuple[SecretName, ...] = Field(
        default=(), description="names of the secrets that this tutor may read"
    )
    sandbox: TutorSandbox = Field(
        default=TutorSandbox(), description="what its processes may do beyond what lessons need"
    )
    limits: TutorLimits = Field(
        default=TutorLimits(), description="what one of its lessons may use"
    )

    @model_validator(mode="before")
    @classmethod
    def _has_plugin(cls, written: Any) -> Any:
        if not isinstance(written, dict) or written.get("agent") or written.get("plugin"):
            return written
        return {**written, "plugin": written.get("name")}

    @property
    def is_automatic(self) -> bool:
        """Whether it joins every new room, and gives the floor to specialists."""
        return self.worker_type == "automatic"

    @property
    def source(self) -> str:
        """The code to load: a plugin's entry-point name, or `module:Class` of an agent."""
        return self.agent or self.plugin or ""

    @property
    def secret_locations(self) -> tuple[tuple[Keys, str], ...]:
        """The secrets of its engines and its own, each with the keys that lead to it."""
        own = ((("secrets",), name) for name in self.secrets)
        return (*engine_secret_locations(self.engines), *own)

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of its own secrets and those of its own engines."""
        return frozenset(name for _, name in self.secret_locations)

    def engines_over(self, shared: Engines) -> Engines:
        """Return its engines: its own, or else the shared ones, for each kind."""
        own = {name: getattr(self.engines, name) for name in self.engines.model_fields_set}
        return shared.model_copy(update=own)


def engine_locations(engines: Engines) -> Iterator[tuple[Keys, Engine]]:
    """Yield each engine with the keys that lead to it. A single engine has no index."""
    for kind in ENGINE_KINDS:
        listed = engines.of(kind)
        for index, engine in enumerate(listed):
            yield ("engines", kind, *((index,) if listed[1:] else ())), engine


def engine_secret_locations(engines: Engines) -> Iterator[tuple[Keys, str]]:
    """Yield the name of each engine's secret, with the keys that lead to that engine."""
    for keys, engine in engine_locations(engines):
        yield from ((keys, name) for name in engine.secrets.values())


def engine_secrets(engines: Engines) -> frozenset[str]:
    """Return the names of all secrets that the engines use."""
    return frozenset(name for _, name in engine_secret_locations(engines))

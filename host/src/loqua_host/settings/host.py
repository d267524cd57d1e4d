"""The settings in config/host.yaml and environments/*.yaml: `HostSettings`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from loqua_host.core.secrets import SecretsSettings
from loqua_host.core.settings import CoreSettings
from loqua_host.system.addresses import WEBSOCKET, normalise

from .engines import Engines
from .layered import LayeredSettings
from .lessons import LessonSettings
from .loopback import is_loopback
from .messages import Messages
from .regions import RegionSettings
from .rules import RecordRules
from .sandbox import SandboxSettings
from .section import Section
from .tutors import AgentId, SecretLocation, TutorSettings, engine_secret_locations

__all__ = [
    "Environment",
    "HostSettings",
    "LedgerSettings",
    "LiveKitSettings",
    "LogSettings",
    "OpsSettings",
    "TlsSettings",
]


class Environment(StrEnum):
    """The environment that LOQUA_ENVIRONMENT names."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class LiveKitSettings(Section):
    """The LiveKit server; a host serves one project."""

    url: Annotated[str, AfterValidator(partial(normalise, schemes=WEBSOCKET))] = Field(
        description="the server's address in LIVEKIT_URL, such as wss://livekit.loqua.app"
    )


class LedgerSettings(Section):
    """The storage of lessons and of the outbox."""

    path: Path = Field(
        default=Path("var/ledger.db"),
        description="the SQLite file, unless LEDGER_URL names a Postgres database",
    )
    spool: Path | None = Field(
        default=None,
        description="a local directory for entries while the ledger is unreachable, or null for "
        "one beside path",
    )
    captures: Path | None = Field(
        default=None,
        description="a directory for captures of lessons whose learners allow it, for `loqua-host "
        "replay`, or null for none",
    )
    keep_delivered_days: float = Field(
        default=30,
        ge=1,
        description="days until a fully delivered lesson is deleted, 1 or more",
    )
    keep_dead_days: float = Field(
        default=180,
        ge=1,
        description="days until a dead letter is deleted, 1 or more",
    )
    keep_unknown_days: float = Field(
        default=30,
        ge=1,
        description="days until a dead letter of a learner that the API does not know is deleted",
    )

    @property
    def spool_directory(self) -> Path:
        """The directory of the spool."""
        return self.spool or self.path.with_name(f"{self.path.name}-spool")


class LogSettings(Section):
    """The format and level of the host's log."""

    format: Literal["text", "json"] = Field(default="text", description="text or json")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )


class TlsSettings(Section):
    """The TLS certificate of the ops address."""

    certificate: Path = Field(description="the PEM file with the certificate and its chain")
    key: Path = Field(description="the PEM file with its private key, without a password")


class OpsSettings(Section):
    """The ops address: health, metrics, status page and webhooks."""

    address: str = Field(
        default="127.0.0.1", min_length=1, description="the address to listen on, such as 127.0.0.1"
    )
    port: int | None = Field(
        default=9464, ge=0, le=65_535, description="the port, 0 for any free port, null for none"
    )
    tls: TlsSettings | None = Field(
        default=None, description="a section with certificate: and key: for https, or null for http"
    )

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return self.port is None or is_loopback(self.address)


class HostSettings(LayeredSettings):
    """All settings of the host; contains no secret."""

    environment: Annotated[Environment, SkipJsonSchema()] = Field(
        description="the environment that LOQUA_ENVIRONMENT names"
    )
    tutors: Annotated[tuple[TutorSettings, ...], SkipJsonSchema()] = Field(
        description="all tutors, enabled or not, by name"
    )
    agent_id: AgentId = Field(description="the host's identity in AGENT_ID, such as loqua-host-1")
    livekit: LiveKitSettings = Field(description="the LiveKit server")
    api: CoreSettings = Field(description="the Loqua API")
    secrets: SecretsSettings = Field(
        default=SecretsSettings(), description="where the host's secrets are"
    )
    lessons: LessonSettings = Field(default=LessonSettings(), description="how lessons run")
    engines: Engines = Field(default=Engines(), description="speech and language engines")
    messages: Messages = Field(
        default=Messages(), description="what the host says to learners in the tutor's voice"
    )
    records: RecordRules = Field(
        default=RecordRules(), description="rules for what the host adds to tutors' reports"
    )
    ledger: LedgerSettings = Field(default=LedgerSettings(), description="where lessons are kept")
    regions: RegionSettings | None = Field(
        default=None, description="an active and a standby region, or null for a single region"
    )
    sandbox: SandboxSettings = Field(
        default=SandboxSettings(), description="how the processes of tutors are restricted"
    )
    logs: LogSettings = Field(default=LogSettings(), description="how the host logs")
    ops: OpsSettings = Field(
        default=OpsSettings(), description="the address of health, metrics and status page"
    )

    @property
    def enabled_tutors(self) -> tuple[TutorSettings, ...]:
        """The enabled tutors."""
        return tuple(tutor for tutor in self.tutors if tutor.enabled)

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of all secrets that engines and enabled tutors use."""
        return frozenset(self.secret_locations)

    @property
    def secret_locations(self) -> dict[str, SecretLocation]:
        """The first place that names each of these secrets."""
        named: list[tuple[str, SecretLocation]] = [
            (name, (None, keys)) for keys, name in engine_secret_locations(self.engines)
        ]
        for tutor in self.enabled_tutors:
            named += [(name, (tutor.name, keys)) for keys, name in tutor.secret_locations]
        return dict(reversed(named))

    def engines_for(self, tutor: TutorSettings) -> Engines:
        """Return the tutor's engines: its own, or else the host's, for each kind."""
        return tutor.engines_over(self.engines)

    def agent_id_for(self, tutor: TutorSettings) -> str:
        """Return the agent id for the tutor's API calls."""
        return tutor.agent_id or self.agent_id

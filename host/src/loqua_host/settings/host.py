"""What config/host.yaml and its overlays may say; `HostSettings` is all of it, checked."""

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
from .rules import RecordRules
from .section import Section
from .tutors import AgentId, SecretPlace, TutorSettings, engine_secret_places

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
    """Where the host runs, as LOQUA_ENVIRONMENT says."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class LiveKitSettings(Section):
    """The LiveKit server; one project a host."""

    url: Annotated[str, AfterValidator(partial(normalise, schemes=WEBSOCKET))] = Field(
        description="the server's address in LIVEKIT_URL, such as wss://livekit.loqua.app"
    )


class LedgerSettings(Section):
    """Where lessons and the outbox for the API are kept."""

    path: Path = Field(
        default=Path("var/ledger.db"),
        description="the database file, unless LEDGER_URL names a Postgres",
    )
    spool: Path | None = Field(
        default=None,
        description="a local directory for what waits for the ledger, or null for one beside path",
    )
    keep_delivered_days: float = Field(
        default=30,
        ge=1,
        description="days until a lesson that owes nothing is forgotten, 1 or more",
    )
    keep_dead_days: float = Field(
        default=180,
        ge=1,
        description="days until a row that the API refused is forgotten, 1 or more",
    )
    keep_unknown_days: float = Field(
        default=30,
        ge=1,
        description="the same for learners whom the API does not know, 1 or more",
    )

    @property
    def spool_directory(self) -> Path:
        """Where what waits for the ledger is."""
        return self.spool or self.path.with_name(f"{self.path.name}-spool")


class LogSettings(Section):
    """How the host logs."""

    format: Literal["text", "json"] = Field(default="text", description="text or json")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )


class TlsSettings(Section):
    """The certificate that the ops address serves with."""

    certificate: Path = Field(description="the PEM file with the certificate and its chain")
    key: Path = Field(description="the PEM file with its key, which has no password")


class OpsSettings(Section):
    """Where operators ask: health, metrics and the ops page."""

    address: str = Field(
        default="127.0.0.1", min_length=1, description="the address to listen at, such as 127.0.0.1"
    )
    port: int | None = Field(
        default=9464, ge=0, le=65_535, description="the port, 0 for a free one, null for none"
    )
    tls: TlsSettings | None = Field(
        default=None, description="a section with certificate: and key: for https, or null for http"
    )

    @property
    def is_private(self) -> bool:
        """Whether nobody beyond this machine can ask."""
        return self.port is None or is_loopback(self.address)


class HostSettings(LayeredSettings):
    """All that the host is told, without a secret in it."""

    environment: Annotated[Environment, SkipJsonSchema()] = Field(
        description="where the host runs, as LOQUA_ENVIRONMENT says"
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
        default=Messages(), description="what tutors say apart from what they teach"
    )
    records: RecordRules = Field(
        default=RecordRules(), description="rules by which records say more than tutors told"
    )
    ledger: LedgerSettings = Field(default=LedgerSettings(), description="where lessons are kept")
    logs: LogSettings = Field(default=LogSettings(), description="how the host logs")
    ops: OpsSettings = Field(default=OpsSettings(), description="where operators ask")

    @property
    def enabled_tutors(self) -> tuple[TutorSettings, ...]:
        """The tutors that run."""
        return tuple(tutor for tutor in self.tutors if tutor.enabled)

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of all secrets that engines and enabled tutors ask for."""
        return frozenset(self.secret_places)

    @property
    def secret_places(self) -> dict[str, SecretPlace]:
        """Where each of them is named, by its name; the first place of several."""
        named: list[tuple[str, SecretPlace]] = [
            (name, (None, keys)) for keys, name in engine_secret_places(self.engines)
        ]
        for tutor in self.enabled_tutors:
            named += [(name, (tutor.name, keys)) for keys, name in tutor.secret_places]
        return dict(reversed(named))

    def engines_for(self, tutor: TutorSettings) -> Engines:
        """Return the tutor's engines: its own where it names one, else the host's."""
        return tutor.engines_over(self.engines)

    def agent_id_for(self, tutor: TutorSettings) -> str:
        """Return the identity that the tutor's API calls carry."""
        return tutor.agent_id or self.agent_id

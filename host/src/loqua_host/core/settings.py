"""The section `api:` of config/host.yaml."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .secrets import Address, CoreSecret

__all__ = ["Access", "BreakerSettings", "CacheLives", "CoreSettings", "StoreSettings"]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Access(BaseModel):
    """The JWT for a call for which the API accepts either: the user's or the service's."""

    model_config = _FROZEN

    sessions: Literal["user", "service", "user_then_service"] = Field(
        default="user",
        description="the JWT that creates session records: the learner's, the agent's, or the "
        "agent's if the learner's is unavailable",
    )


class StoreSettings(BaseModel):
    """The store of learners' data for each operation."""

    model_config = _FROZEN

    contexts: Literal["api", "supabase"] = Field(
        default="api", description="where contexts and preferences are read: api or supabase"
    )
    progress: Literal["api", "supabase"] = Field(
        default="api", description="where progress is written: api or supabase"
    )
    sessions: Literal["api", "supabase"] = Field(
        default="api", description="where session records are written: api or supabase"
    )
    pool_size: int = Field(
        default=5, ge=1, description="connections to Supabase that are kept open"
    )
    max_connections: int = Field(
        default=20, ge=1, description="connections to Supabase at most, under load"
    )

    @property
    def in_supabase(self) -> frozenset[str]:
        """The endpoints whose data is in Supabase."""
        stores = {"context": self.contexts, "progress": self.progress, "sessions": self.sessions}
        return frozenset(name for name, store in stores.items() if store == "supabase")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pool_size > self.max_connections:
            raise ValueError("write connections so that pool_size <= max_connections")
        return self


class BreakerSettings(BaseModel):
    """The thresholds and durations of circuit breakers."""

    model_config = _FROZEN

    failures: int = Field(
        default=5,
        ge=1,
        description="consecutive failures that open a breaker (each learner counts at most twice) "
        "or suspend a learner",
    )
    open_seconds: float = Field(
        default=15, gt=0, description="seconds before an open breaker allows a probe"
    )


class CacheLives(BaseModel):
    """The lifetimes of the parts of a cached context, in seconds."""

    model_config = _FROZEN

    context: float = Field(
        default=300, ge=0, description="seconds before a context is fetched again"
    )
    history: float = Field(
        default=600,
        ge=0,
        description="seconds that history and progress are used while the API is down",
    )
    preferences: float = Field(
        default=3600, ge=0, description="seconds that preferences are used while the API is down"
    )
    learners: int = Field(default=1000, ge=1, description="the maximum of cached contexts")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.context <= self.history <= self.preferences:
            raise ValueError("write cache lives so that context <= history <= preferences")
        return self


class CoreSettings(BaseModel):
    """The settings of calls to the Loqua API, and of degradation."""

    model_config = _FROZEN

    api_base_url: Address = Field(
        description="the API's address in API_BASE_URL, such as https://api.loqua.app"
    )
    max_version: Literal["v1", "v2"] = Field(
        default="v1",
        description="the newest version of the API to use where the API offers it: v1, or v2 as "
        "`loqua-host devapi` has it",
    )
    connect_timeout: float = Field(default=2, gt=0, description="seconds to connect")
    attempt_timeout: float = Field(default=4, gt=0, description="seconds for one attempt")
    deadline: float = Field(
        default=10,
        gt=0,
        le=14,  # a host's lease on its outbox entries lasts longer
        description="seconds for a call with its pauses, retries and new tokens, up to 14",
    )
    retries: int = Field(default=3, ge=0, le=3, description="retries of a failed call, 0 to 3")
    backoff: float = Field(
        default=0.25,
        gt=0,
        description="the maximum seconds before the first retry; doubles for each further one",
    )
    pool_size: int = Field(default=20, ge=1, description="connections, and concurrent calls")
    rate_limit: float = Field(default=100, ge=1, description="calls per second of all lessons")
    max_hold: float = Field(
        default=300, gt=0, description="the longest pause in seconds that the API may request"
    )
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="when a circuit breaker opens, and for how long"
    )
    cache: CacheLives = Field(
        default=CacheLives(), description="how long a learner's cached context is used"
    )
    refresh_before: float = Field(
        default=300, gt=0, description="seconds before expiry at which user tokens are refreshed"
    )
    ephemeral_keys: Literal["off", "offered", "required"] = Field(
        default="offered",
        description="one key pair per token exchange, to encrypt the token: off, offered to the "
        "API, or required of it",
    )
    agent_token_warn_before: float = Field(
        default=7 * 86400,
        ge=0,
        description="seconds before the expiry of AGENT_JWT_TOKEN at which warnings start",
    )
    access: Access = Field(
        default=Access(), description="whose JWT authenticates a call, the learner's or the agent's"
    )
    store: StoreSettings = Field(
        default=StoreSettings(),
        description="where learners' data is read and written, the API or Supabase",
    )
    required_permissions: frozenset[str] = Field(
        default=frozenset({"user.progress", "session.create", "user.context"}),
        description="permissions without which a lesson is refused",
    )
    honours_idempotency_keys: bool = Field(
        default=False,
        description="whether the API ignores requests with a repeated Idempotency-Key; v1 does not "
        "promise it",
    )

    @property
    def secret_names(self) -> tuple[CoreSecret, ...]:
        """The secrets that this needs. With required ephemeral keys, there is no shared secret."""
        keyed = self.ephemeral_keys == "required"
        return (
            CoreSecret.AGENT_JWT_TOKEN,
            *(() if keyed else (CoreSecret.SHARED_SECRET,)),
            *((CoreSecret.SUPABASE_DB_URL,) if self.store.in_supabase else ()),
        )

    @model_validator(mode="after")
    def _attempts_fit(self) -> Self:
        if not self.connect_timeout <= self.attempt_timeout < self.deadline:
            raise ValueError("write times so that connect_timeout <= attempt_timeout < deadline")
        return self

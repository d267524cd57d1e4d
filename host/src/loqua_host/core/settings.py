"""The section `api:` of config/host.yaml: every number of the auth and API core."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .secrets import Address, CoreSecret

__all__ = ["Access", "BreakerSettings", "CacheLives", "CoreSettings"]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Access(BaseModel):
    """Whose JWT an operation is done with, where the API allows a choice."""

    model_config = _FROZEN

    sessions: Literal["user", "service", "user_then_service"] = Field(
        default="user",
        description="JWT that session records are created with: the learner's, the agent's own, or "
        "that one where the learner's cannot be had any more",
    )


class BreakerSettings(BaseModel):
    """When an endpoint is given up, and for how long."""

    model_config = _FROZEN

    failures: int = Field(
        default=5,
        ge=1,
        description="failures in a row that open a breaker, of which no learner counts more than "
        "two, and that suspend a learner",
    )
    open_seconds: float = Field(
        default=15, gt=0, description="seconds an open breaker waits before it lets one probe out"
    )


class CacheLives(BaseModel):
    """How long parts of a fetched context serve, in seconds."""

    model_config = _FROZEN

    context: float = Field(default=300, ge=0, description="seconds until a context is refetched")
    history: float = Field(
        default=600, ge=0, description="seconds history and progress serve while the API is down"
    )
    preferences: float = Field(
        default=3600, ge=0, description="seconds preferences serve while the API is down"
    )
    learners: int = Field(default=1000, ge=1, description="contexts kept at most")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.context <= self.history <= self.preferences:
            raise ValueError("write cache lives so that context <= history <= preferences")
        return self


class CoreSettings(BaseModel):
    """How the Loqua API is reached, and what is done when it does not answer."""

    model_config = _FROZEN

    api_base_url: Address = Field(
        description="the API's address in API_BASE_URL, such as https://api.loqua.app"
    )
    connect_timeout: float = Field(default=2, gt=0, description="seconds to connect")
    attempt_timeout: float = Field(default=4, gt=0, description="seconds for one attempt")
    deadline: float = Field(
        default=10,
        gt=0,
        le=14,  # a host's lease on what it sends lasts longer
        description="seconds for a call with its waits, repeats and new tokens, up to 14",
    )
    retries: int = Field(default=3, ge=0, le=3, description="repeats of a call that failed")
    backoff: float = Field(default=0.25, gt=0, description="longest first pause; doubles each time")
    pool_size: int = Field(default=20, ge=1, description="connections, and calls at one time")
    rate_limit: float = Field(default=100, ge=1, description="calls a second, all lessons together")
    max_hold: float = Field(
        default=300, gt=0, description="longest pause in seconds that the API may ask for"
    )
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="when an endpoint is given up, and for how long"
    )
    cache: CacheLives = Field(
        default=CacheLives(), description="how long a learner's context serves"
    )
    refresh_before: float = Field(
        default=300, gt=0, description="seconds before expiry at which user tokens are refreshed"
    )
    ephemeral_keys: Literal["off", "offered", "required"] = Field(
        default="offered",
        description="whether the API is offered a fresh key to seal each token to, or must take it",
    )
    agent_token_warn_before: float = Field(
        default=7 * 86400, ge=0, description="seconds before its expiry to warn of AGENT_JWT_TOKEN"
    )
    access: Access = Field(
        default=Access(), description="whose JWT an operation is done with, the learner's or ours"
    )
    required_permissions: frozenset[str] = Field(
        default=frozenset({"user.progress", "session.create", "user.context"}),
        description="permissions without which a lesson is refused",
    )
    honours_idempotency_keys: bool = Field(
        default=False,
        description="whether a repeated Idempotency-Key changes nothing; v1 promises no such thing",
    )

    @property
    def secret_names(self) -> tuple[CoreSecret, ...]:
        """The secrets that this needs: where tokens are always sealed, no shared one."""
        if self.ephemeral_keys == "required":
            return (CoreSecret.AGENT_JWT_TOKEN,)
        return tuple(CoreSecret)

    @model_validator(mode="after")
    def _attempts_fit(self) -> Self:
        if not self.connect_timeout <= self.attempt_timeout < self.deadline:
            raise ValueError("write times so that connect_timeout <= attempt_timeout < deadline")
        return self

"""The context of one request: the API, the time, the active faults, and the caller."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, TypeVar

import jwt
from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from . import models
from .errors import ApiRefusedError, moment
from .faults import ResponseOverrides
from .misbehaviour import ActiveFaults
from .settings import DevApiSettings
from .store import Kind, Store
from .tokens import AgentClaims, UserClaims, verified

ClaimsT = TypeVar("ClaimsT", bound=BaseModel)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class DevApi:
    """The state behind the endpoints."""

    settings: DevApiSettings
    store: Store
    active_faults: ActiveFaults


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request: `now` is the API's own clock, in Unix seconds."""

    api: DevApi
    overrides: ResponseOverrides
    now: float
    path: str
    headers: Mapping[str, str]

    @property
    def at(self) -> datetime:
        """The time as the guide writes it."""
        return moment(self.now)

    @property
    def idempotency_key(self) -> str | None:
        """The key that the caller gave, if any."""
        return self.headers.get("Idempotency-Key")

    def received(self, kind: Kind, agent_id: str, user_id: str, body: BaseModel | None) -> None:
        """Store this request among the arrivals."""
        self.api.store.receive(
            kind,
            self.at,
            body.model_dump(mode="json", by_alias=True, exclude_unset=True) if body else {},
            agent_id=agent_id,
            user_id=user_id,
            idempotency_key=self.idempotency_key,
        )

    def once(self, user_id: str, answer: Callable[[], AnswerT]) -> AnswerT:
        """Return a new answer, or the first one if the key repeats and the settings honour it."""
        if not self.api.settings.honour_idempotency or self.idempotency_key is None:
            return answer()
        # If a version ends, a host repeats its request in another, so the key excludes the version.
        endpoint = self.path.rpartition("/")[2]
        return self.api.store.once((endpoint, user_id, self.idempotency_key), answer)


async def _call(request: Request) -> ApiCall:
    state = request.state
    api: DevApi = request.app.state.api
    return ApiCall(api, state.overrides, state.now, request.url.path, request.headers)


CallNow = Annotated[ApiCall, Depends(_call)]
AgentId = Annotated[
    models.Identifier,
    Header(alias="X-Agent-ID", description="Agent identification for audit logging"),
]


def new_session_id(now: float) -> str:
    """Return a visit's id as the guide shows it: `sess_{timestamp}_{random}`, in milliseconds."""
    return f"sess_{int(now * 1000)}_{secrets.token_hex(4)}"


def _claims(
    call: ApiCall,
    credentials: HTTPAuthorizationCredentials | None,
    claims: type[ClaimsT],
    secret: str,
    code: str,
) -> ClaimsT:
    if credentials is None:
        raise ApiRefusedError(
            HTTPStatus.UNAUTHORIZED, code, "Authorization: a Bearer JWT is required"
        )
    try:
        return verified(credentials.credentials, claims, secret, now=call.now)
    except jwt.InvalidTokenError as error:
        refused = ApiRefusedError(HTTPStatus.UNAUTHORIZED, code, f"Authorization: {error}")
        raise refused from error


_agent_jwt = HTTPBearer(scheme_name="agentJwt", bearerFormat="JWT", auto_error=False)
_user_jwt = HTTPBearer(scheme_name="userJwt", bearerFormat="JWT", auto_error=False)


async def _agent_claims(
    call: CallNow,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_agent_jwt)],
) -> AgentClaims:
    secret = call.api.settings.agent_signing_secret.get_secret_value()
    return _claims(call, credentials, AgentClaims, secret, "INVALID_AGENT_TOKEN")


async def _user_claims(
    call: CallNow,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_user_jwt)],
) -> UserClaims:
    secret = call.api.settings.user_signing_secret.get_secret_value()
    return _claims(call, credentials, UserClaims, secret, "INVALID_USER_TOKEN")


async def _author(
    call: CallNow,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_user_jwt)],
) -> UserClaims | None:
    if call.api.settings.service_sessions:
        secret = call.api.settings.agent_signing_secret.get_secret_value()
        with suppress(ApiRefusedError):
            _claims(call, credentials, AgentClaims, secret, "INVALID_AGENT_TOKEN")
            return None
    return await _user_claims(call, credentials)


AnAgent = Annotated[AgentClaims, Depends(_agent_claims)]
AUser = Annotated[UserClaims, Depends(_user_claims)]
AnAuthor = Annotated[UserClaims | None, Depends(_author)]
"""A learner, or None: an agent in its own name, where the settings allow that."""


def require_same_agent(agent_id: str, other: str) -> None:
    """Refuse an agent other than the one that its token or its request names.

    Raises:
        ApiRefusedError: 403.
    """
    if agent_id != other:
        raise ApiRefusedError(
            HTTPStatus.FORBIDDEN,
            "AGENT_MISMATCH",
            "agent authentication failed: X-Agent-ID is not the agent this was issued to",
        )


def authorize(claims: UserClaims, agent_id: str, user_id: str, permission: str | None) -> None:
    """Accept a learner's token only for that learner, its agent and its permissions.

    Raises:
        ApiRefusedError: 403, with what does not fit.
    """
    require_same_agent(agent_id, claims.agent_id)
    if claims.user_id != user_id:
        raise ApiRefusedError(
            HTTPStatus.FORBIDDEN, "USER_MISMATCH", "the token was issued for another user"
        )
    if permission is not None and permission not in claims.permissions:
        raise ApiRefusedError(
            HTTPStatus.FORBIDDEN, "INSUFFICIENT_PERMISSIONS", f"the token lacks {permission}"
        )

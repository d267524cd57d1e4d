"""The guide's endpoints, and the one from which learners get their room tokens."""

import secrets
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path

from loqua_host.core import ephemeral
from loqua_host.core.caller import Caller

from . import models
from .calls import (
    AgentId,
    AnAgent,
    AnAuthor,
    ApiCall,
    AUser,
    CallNow,
    authorize,
    new_session_id,
    require_same_agent,
)
from .errors import ApiRefusedError
from .learners import HeldSession
from .tokens import PERMISSIONS, UserClaims, encrypt, join_token, sign, take_startup_environ

_IV_BYTES = 16

OfferedKey = Annotated[
    str,
    Header(
        alias=ephemeral.HEADER,
        pattern=r"^([A-Za-z0-9_-]{43})?$",
        description="An X25519 key of the agent's to seal the token to, in base64url; or none",
    ),
]
_DESCRIPTIONS: dict[int | str, str] = {
    400: "Missing required fields or invalid parameters",
    401: "Invalid token",
    403: "The token is another agent's or another user's, or lacks a permission",
    404: "User not found",
    "default": "Too large, too many requests, a server error or an outage",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.ErrorAnswer, "description": description}
    for status, description in _DESCRIPTIONS.items()
}

every_version = APIRouter(responses=_REFUSALS)
v1 = APIRouter(prefix="/api/v1", responses=_REFUSALS)
v2 = APIRouter(prefix="/api/v2", responses=_REFUSALS)


@every_version.post("/agent/user-token")
async def exchange_token(
    body: models.TokenRequest,
    call: CallNow,
    _agent: AnAgent,
    agent_id: AgentId,
    public_key: OfferedKey = "",
) -> models.TokenAnswer:
    """Return a learner's JWT, encrypted, or sealed to the key that the agent offers."""
    require_same_agent(agent_id, body.agent_id)
    call.api.store.study(body.user_id)
    call.received("exchanges", agent_id, body.user_id, body)
    claims = _user_claims(body, call)
    offered = public_key if call.api.settings.ephemeral_keys else ""
    return models.TokenAnswer(
        encrypted_token=_sealed(claims, call, offered) if offered else _encrypted(claims, call),
        encryption=ephemeral.SCHEME if offered else None,
        user_id=body.user_id,
        room_name=body.room_name,
        expires_in=claims.exp - claims.iat,
        issued_at=call.at,
        issued_to=agent_id,
    )


@every_version.post("/agent/progress")
async def update_progress(
    body: models.ProgressUpdate, call: CallNow, user: AUser, agent_id: AgentId
) -> models.ProgressAnswer:
    """Update a learner's progress during a session."""
    authorize(user, agent_id, body.user_id, "user.progress")
    call.api.store.study(body.user_id)
    return call.once(body.user_id, lambda: _save_progress(body, call, user))


@v1.post("/agent/sessions")
async def create_session(
    body: models.SessionRecordBody, call: CallNow, author: AnAuthor, agent_id: AgentId
) -> models.SessionAnswer:
    """Create the record of a learner's session."""
    return _create_session(body, call, author, agent_id)


@v2.post("/agent/sessions")
async def create_session_v2(
    body: models.SessionRecordBodyV2, call: CallNow, author: AnAuthor, agent_id: AgentId
) -> models.SessionAnswer:
    """Create the record of a learner's session, with the date on which the session began."""
    return _create_session(body, call, author, agent_id)


def _create_session(
    body: models.AnySessionRecord, call: ApiCall, author: UserClaims | None, agent_id: str
) -> models.SessionAnswer:
    if author is not None:
        authorize(author, agent_id, body.user_id, "session.create")
    call.api.store.study(body.user_id)
    return call.once(body.user_id, lambda: _save_session(body, call, agent_id))


@every_version.get("/agent/user/{user_id}/context")
async def get_context(
    user_id: Annotated[models.Identifier, Path()], call: CallNow, user: AUser, agent_id: AgentId
) -> models.Context:
    """Return what a learner learns, how, and what happened so far."""
    authorize(user, agent_id, user_id, "user.context")
    study = call.api.store.study(user_id)
    call.received("contexts", agent_id, user_id, None)
    return models.Context(
        user_id=user_id,
        preferences=study.learner.preferences,
        progress=study.totals(),
        session_history=study.history(),
        created_at=study.learner.created_at,
        updated_at=study.updated_at,
        accessed_by=models.AccessBody(agent_id=agent_id, timestamp=call.at),
    )


@every_version.post("/agent/health")
async def check_health(
    body: models.HealthRequest, call: CallNow, user: AUser, agent_id: AgentId
) -> models.HealthAnswer:
    """Return that an agent is connected, and its permissions for its learner."""
    authorize(user, agent_id, body.user_id, None)
    call.api.store.study(body.user_id)
    call.received("health", agent_id, body.user_id, body)
    return models.HealthAnswer(agent_id=agent_id, permissions=user.permissions, timestamp=call.at)


@v1.post("/rooms/join")
async def join_room(body: models.JoinRequest, call: CallNow) -> models.JoinAnswer:
    """Return a learner's token for a room; the guide does not define learners' sign-in."""
    learner = call.api.store.study(body.user_id).learner
    call.received("joins", "", body.user_id, body)
    settings, session_id = call.api.settings, new_session_id(call.now)
    room = body.room_name or f"room_{secrets.token_hex(6)}"
    token = join_token(
        settings.livekit_api_key,
        settings.livekit_api_secret.get_secret_value(),
        room=room,
        attributes={
            "user_id": body.user_id,
            "sessionId": session_id,
            "email": learner.email,
            "display_name": learner.display_name,
        },
        agent_name=body.agent_name,
    )
    return models.JoinAnswer(
        token=token, url=settings.livekit_url, room_name=room, session_id=session_id
    )


v1.include_router(every_version)
v2.include_router(every_version)


def _user_claims(body: models.TokenRequest, call: ApiCall) -> UserClaims:
    overrides, issued_at = call.overrides, int(call.now)
    lifetime = call.api.settings.token_lifetime
    return UserClaims(
        sub=body.user_id,
        user_id=body.user_id,
        room=body.room_name,
        agent_id=body.agent_id,
        iat=issued_at,
        exp=issued_at
        + (lifetime if overrides.token_lifetime is None else overrides.token_lifetime),
        permissions=PERMISSIONS if overrides.permissions is None else overrides.permissions,
    )


def _encrypted(claims: UserClaims, call: ApiCall) -> str:
    settings = call.api.settings
    token = sign(claims, settings.user_signing_secret.get_secret_value())
    shared = settings.shared_secret.get_secret_value()
    secret = secrets.token_hex(16) if call.overrides.wrong_key else shared
    return encrypt(token, secret, secrets.token_bytes(_IV_BYTES))


def _sealed(claims: UserClaims, call: ApiCall, public_key: str) -> str:
    token = sign(claims, call.api.settings.user_signing_secret.get_secret_value())
    purpose = ephemeral.purpose(Caller(claims.user_id, claims.room, claims.agent_id))
    try:
        return take_startup_environ(token, public_key, purpose)
    except ValueError:
        message = f"{ephemeral.HEADER}: is no X25519 key in base64url"
        raise ApiRefusedError(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", message) from None


def _save_progress(
    body: models.ProgressUpdate, call: ApiCall, user: UserClaims
) -> models.ProgressAnswer:
    session_id = body.session_id or user.room
    call.received("progress", user.agent_id, body.user_id, body)
    call.api.store.save_progress(body.user_id, session_id, body.data.progress, call.at)
    return models.ProgressAnswer(
        user_id=body.user_id, session_id=session_id, agent_id=user.agent_id, timestamp=call.at
    )


def _save_session(
    body: models.AnySessionRecord, call: ApiCall, agent_id: str
) -> models.SessionAnswer:
    session_id = body.session_id or new_session_id(call.now)
    call.received("sessions", agent_id, body.user_id, body)
    began = body.started_at if isinstance(body, models.SessionRecordBodyV2) else None
    call.api.store.save_session(body.user_id, HeldSession(session_id, body, began or call.at))
    return models.SessionAnswer(session_id=session_id, created_at=call.at, agent_id=agent_id)

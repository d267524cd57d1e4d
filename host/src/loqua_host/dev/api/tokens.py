"""Signed and encrypted tokens: the learner's JWT, the agent's JWT, and room tokens."""

import base64
from typing import Literal, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from livekit.api import (
    AccessToken,
    RoomAgentDispatch,
    RoomConfiguration,
    VideoGrants,
)
from pydantic import BaseModel, ConfigDict

from loqua_host.core.ephemeral import SUITE

PERMISSIONS = ("user.progress", "session.create", "user.context")
"""An agent's permissions for a learner, as in the guide's health response."""

_KEY_BYTES = 32
_SIGNATURE = "HS256"


ClaimsT = TypeVar("ClaimsT", bound=BaseModel)


class UserClaims(BaseModel):
    """The learner, room, agent and expiry of a learner's JWT."""

    model_config = ConfigDict(frozen=True)

    sub: str
    user_id: str
    room: str
    agent_id: str
    iat: int
    exp: int
    permissions: tuple[str, ...]


class AgentClaims(BaseModel):
    """The agent of an agent's JWT, and the token's expiry."""

    model_config = ConfigDict(frozen=True)

    role: Literal["agent"] = "agent"
    sub: str
    iat: int
    exp: int


def sign(claims: BaseModel, secret: str) -> str:
    """Return the claims as a JWT signed with `secret`."""
    return jwt.encode(claims.model_dump(), secret, algorithm=_SIGNATURE)


def verified(token: str, claims: type[ClaimsT], secret: str, *, now: float) -> ClaimsT:
    """Return the claims of a JWT that was signed with `secret` and has not expired at `now`.

    Raises:
        jwt.InvalidTokenError: It was not, has expired, or lacks a claim.
    """
    payload = jwt.decode(
        token,
        secret,
        algorithms=[_SIGNATURE],
        options={"require": [*claims.model_fields], "verify_exp": False, "verify_iat": False},
    )
    if payload["exp"] <= now:
        raise jwt.ExpiredSignatureError("the token has expired")
    return claims.model_validate(payload)


def encrypt(token: str, secret: str, iv: bytes) -> str:
    """Return the token as `{iv_hex}:{data_hex}`: AES-256-CBC with PKCS7, keyed by the secret.

    The key is the secret's bytes, padded with zero bytes or truncated to 32.
    """
    key = secret.encode()[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0")
    padder = PKCS7(algorithms.AES.block_size).padder()
    padded = padder.update(token.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    data = encryptor.update(padded) + encryptor.finalize()
    return f"{iv.hex()}:{data.hex()}"


def take_startup_environ(token: str, public_key: str, purpose: bytes) -> str:
    """Return the token sealed to an agent's X25519 key, in base64url (HPKE, RFC 9180).

    Raises:
        ValueError: That is no key that anything can be sealed to.
    """
    raw = base64.b64decode(public_key + "=", b"-_", validate=True)
    key = X25519PublicKey.from_public_bytes(raw)
    return base64.urlsafe_b64encode(SUITE.encrypt(token.encode(), key, purpose)).decode()


def join_token(
    api_key: str,
    api_secret: str,
    *,
    room: str,
    attributes: dict[str, str],
    agent_name: str | None,
) -> str:
    """Return a LiveKit token for a learner with `attributes` that the learner cannot change.

    With an agent name, a room that the learner is the first to enter gets that agent.
    """
    grants = VideoGrants(room_join=True, room=room, can_update_own_metadata=False)
    token = (
        AccessToken(api_key, api_secret)
        .with_identity(attributes["user_id"])
        .with_name(attributes["display_name"])
        .with_attributes(attributes)
        .with_grants(grants)
    )
    if agent_name is not None:
        dispatch = RoomAgentDispatch(agent_name=agent_name)
        token = token.with_room_config(RoomConfiguration(agents=[dispatch]))
    return token.to_jwt()

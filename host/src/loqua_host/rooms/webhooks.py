"""Verification and parsing of LiveKit's webhooks.

A JWT signed with LiveKit's own key contains the digest of the body
(https://docs.livekit.io/home/server/webhooks). Webhooks may arrive late, twice, out of order or
never, so the host uses them as hints only.
"""

import hmac
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt
from google.protobuf.json_format import Parse, ParseError
from livekit.protocol import webhook

from loqua_host.errors import WebhookError
from loqua_host.settings.secrets import LiveKitKey

from .learners import Participant
from .rooms import participant_of

__all__ = ["WebhookEvent", "read_webhook_event", "signed_digest"]

LEEWAY = 60.0
"""Seconds that LiveKit's clock may differ from the host's, as in LiveKit's own verifiers."""

REQUIRED = ["exp", "iss", "sha256"]
"""Required claims; pyjwt validates other claims only if they are present."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event from LiveKit.

    Attributes:
        event: Its name, such as `participant_joined`.
        room: The room's name; empty if there is none.
        participant: The participant, if there is one.
    """

    event: str
    room: str
    participant: Participant | None


def signed_digest(token: str, keys: Sequence[LiveKitKey]) -> bytes:
    """Return the SHA-256 of the body that LiveKit signed, before the body is read.

    Raises:
        WebhookError: If none of the keys signed the token, it has expired or has no expiry, or it
            has no digest: learners' own tokens are signed with the same key.
    """
    for key in keys:
        with suppress(jwt.InvalidTokenError, ValueError, TypeError, ArithmeticError):
            if digest := b64decode(_claims(token, key)["sha256"], validate=True):
                return digest
    raise WebhookError("no LiveKit key that this host knows has signed this")


def _claims(token: str, key: LiveKitKey) -> dict[str, Any]:
    """Return the claims of a token that this key signed, after validating them."""
    claims: dict[str, Any] = jwt.decode(
        token,
        key.secret.get_secret_value(),
        algorithms=["HS256"],
        leeway=LEEWAY,
        options={"require": REQUIRED},
    )
    if claims["iss"] != key.key.get_secret_value():  # pyjwt 2.10.0 also accepts a substring
        raise jwt.InvalidIssuerError
    return claims


def read_webhook_event(body: bytes, digest: bytes) -> WebhookEvent:
    """Read the body that LiveKit signed.

    Raises:
        WebhookError: If the digest does not match, or the body is invalid.
    """
    if not hmac.compare_digest(sha256(body).digest(), digest):
        raise WebhookError("LiveKit signed another body")
    try:
        event = Parse(body, webhook.WebhookEvent(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError) as error:
        raise WebhookError("the signed body is not a LiveKit webhook") from error
    who = participant_of(event.participant) if event.HasField("participant") else None
    return WebhookEvent(event.event, event.room.name, who)

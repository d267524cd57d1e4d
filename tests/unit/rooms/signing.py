"""Webhooks as LiveKit signs them."""

import json
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any

from livekit.api import AccessToken

from loqua_host.core.secrets import Sealed
from loqua_host.settings.secrets import LiveKitKey

__all__ = ["KEY", "body", "sign"]

KEY = LiveKitKey(Sealed("key"), Sealed("a-secret-of-32-characters-or-more"))


def body(event: str = "participant_joined", **participant: Any) -> bytes:
    """Write a webhook about a participant of a room."""
    who = {"sid": "PA_1", "identity": "maria", "attributes": {"user_id": "u1"}, **participant}
    payload = {"event": event, "room": {"name": "room"}, "participant": who, "newer": {"field": 1}}
    return json.dumps(payload).encode()


def sign(text: bytes | None, key: LiveKitKey = KEY, ttl: timedelta = timedelta(minutes=5)) -> str:
    """Sign a body as LiveKit does, or a token that is for none."""
    token = AccessToken(key.key.get_secret_value(), key.secret.get_secret_value()).with_ttl(ttl)
    if text is not None:
        token = token.with_sha256(b64encode(sha256(text).digest()).decode())
    return token.to_jwt()

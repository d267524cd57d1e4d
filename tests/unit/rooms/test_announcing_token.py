"""The permissions of an announcement's room token."""

import base64
import json

from loqua_host.core.secrets import Sealed
from loqua_host.rooms.rooms import ANNOUNCING_TIME, Rooms
from loqua_host.settings.secrets import LiveKitKey


async def test_an_announcement_may_speak_in_one_room_and_hear_nobody() -> None:
    """For a short while, by an identity of its own, and never as a learner."""
    key = LiveKitKey(Sealed("key"), Sealed("s" * 32))
    rooms = Rooms("ws://livekit", key, None)  # type: ignore[arg-type]  # nothing is asked
    one, other = (_claims(rooms.announcing_token("room")) for _ in range(2))
    assert one["video"] == {
        "roomJoin": True,
        "room": "room",
        "canSubscribe": False,
        "canPublish": True,
        "canPublishData": True,
        "canPublishSources": ["microphone"],
        "canUpdateOwnMetadata": False,
    }
    assert one["kind"] == "agent"
    assert one["exp"] - one["nbf"] == ANNOUNCING_TIME.total_seconds()
    assert one["sub"].startswith("announcement-")
    assert one["sub"] != other["sub"]


def _claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims

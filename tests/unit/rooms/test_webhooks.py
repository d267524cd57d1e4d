"""LiveKit's webhooks: only signed ones are parsed."""

import contextlib
import json
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rooms.signing import KEY, body, sign

from loqua_host.core.secrets import Sealed
from loqua_host.errors import WebhookError
from loqua_host.rooms.webhooks import WebhookEvent, read_webhook_event, signed_digest
from loqua_host.settings.secrets import LiveKitKey

OTHER = LiveKitKey(Sealed("other"), Sealed("another-secret-of-32-characters-or-more"))


def read(text: bytes, token: str, *keys: LiveKitKey) -> WebhookEvent:
    """Read a webhook as the host does."""
    return read_webhook_event(text, signed_digest(token, keys or (KEY,)))


def test_a_signed_webhook_tells_who_came_where() -> None:
    """With the attributes and the entry; what only a newer LiveKit knows is passed over."""
    hint = read(body(), sign(body()))
    assert (hint.event, hint.room) == ("participant_joined", "room")
    assert hint.participant is not None
    assert (hint.participant.identity, hint.participant.sid) == ("maria", "PA_1")
    assert (hint.participant.kind, hint.participant.attributes) == ("standard", {"user_id": "u1"})


def test_a_webhook_may_be_about_no_participant() -> None:
    """Such as one about a room."""
    text = b'{"event": "room_finished", "room": {"name": "room"}}'
    assert read(text, sign(text)) == WebhookEvent("room_finished", "room", None)


def test_both_keys_are_good_while_one_is_being_rotated() -> None:
    """LiveKit may still sign with the one before."""
    for signing in (KEY, OTHER):
        assert read(body(), sign(body(), signing), OTHER, KEY).room == "room"


def signed(**claims: Any) -> str:
    """Sign claims with LiveKit's key as they are; None takes one of the usual away."""
    usual = {"iss": "key", "exp": 2**33, "sha256": b64encode(sha256(body()).digest()).decode()}
    present = {name: value for name, value in (usual | claims).items() if value is not None}
    # Not by jwt.encode, which refuses what only a program of somebody's own would sign.
    return jwt.api_jws.encode(json.dumps(present).encode(), KEY.secret.get_secret_value())


NONE = jwt.encode({"iss": "key", "exp": 2**33, "sha256": "eA=="}, None, algorithm="none")


def test_claims_that_say_no_more_than_they_must_are_enough() -> None:
    """The cases below remove or change one claim each."""
    assert signed_digest(signed(), [KEY]) == sha256(body()).digest()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "no token",
        sign(body(), OTHER),
        sign(body(), LiveKitKey(KEY.key, OTHER.secret)),
        sign(body(), LiveKitKey(OTHER.key, KEY.secret)),
        sign(body(), ttl=-timedelta(minutes=10)),
        sign(None),
        NONE,
        signed(exp=None),
        signed(exp="never"),
        signed(exp=float("inf")),
        signed(exp=[]),
        signed(nbf=2**33),
        signed(iss=None),
        signed(iss="ke"),
        signed(iss=["key", "other"]),
        signed(sha256=None),
        signed(sha256=""),
        signed(sha256="="),
        signed(sha256="ü"),
        signed(sha256=["x"]),
    ],
    ids=[
        "absent",
        "no scheme",
        "no token",
        "somebody else's",
        "wrong secret",
        "wrong key",
        "expired",
        "a learner's own",
        "unsigned",
        "never expiring",
        "expiry that is no time",
        "expiry that never comes",
        "expiry that is a list",
        "not good yet",
        "nobody's",
        "of a part of the key's name",
        "of several",
        "no digest",
        "empty digest",
        "digest that is no base64",
        "digest that is no ASCII",
        "digest that is a list",
    ],
)
def test_what_livekit_did_not_sign_is_refused_before_it_is_read(token: str) -> None:
    """Learners hold tokens of the same key, and may send them here."""
    with pytest.raises(WebhookError, match="no LiveKit key"):
        signed_digest(token, [KEY])


def test_another_body_than_the_signed_one_is_refused() -> None:
    """Somebody on the way cannot change who came."""
    with pytest.raises(WebhookError, match="another body"):
        read(body(identity="eve"), sign(body()))


@pytest.mark.parametrize("text", [b"", b"3", b'{"event": 1}', b"\xff", b"[" * 5000])
def test_what_is_no_webhook_is_refused_by_name(text: bytes) -> None:
    """Even with LiveKit's signature."""
    with pytest.raises(WebhookError, match="is not a LiveKit webhook"):
        read(text, sign(text))


@settings(max_examples=50, deadline=None)
@given(st.binary())
def test_no_bytes_whatever_raise_anything_else(data: bytes) -> None:
    """Signed or not."""
    for token in (data.decode(errors="replace"), sign(data)):
        with contextlib.suppress(WebhookError):
            assert isinstance(read(data, token), WebhookEvent)

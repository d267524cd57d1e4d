"""LiveKit's webhooks: what is signed is read, and nothing else."""

import contextlib
from datetime import timedelta

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rooms.signing import KEY, body, sign

from loqua_host.core.secrets import Sealed
from loqua_host.errors import WebhookError
from loqua_host.rooms.webhooks import Hint, read_hint, signed_digest
from loqua_host.settings.secrets import LiveKitKey

OTHER = LiveKitKey(Sealed("other"), Sealed("another-secret-of-32-characters-or-more"))


def read(text: bytes, token: str, *keys: LiveKitKey) -> Hint:
    """Read a webhook as the host does."""
    return read_hint(text, signed_digest(token, keys or (KEY,)))


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
    assert read(text, sign(text)) == Hint("room_finished", "room", None)


def test_both_keys_are_good_while_one_is_being_rotated() -> None:
    """LiveKit may still sign with the one before."""
    for signing in (KEY, OTHER):
        assert read(body(), sign(body(), signing), OTHER, KEY).room == "room"


NONE = jwt.encode({"iss": "key", "exp": 2**40, "sha256": "x"}, None, algorithm="none")
FOREVER = jwt.encode({"iss": "key", "sha256": "eA=="}, KEY.secret.get_secret_value())
BAD_DIGEST = jwt.encode({"iss": "key", "exp": 2**40, "sha256": "="}, KEY.secret.get_secret_value())


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
        FOREVER,
        BAD_DIGEST,
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
        "no digest",
    ],
)
def test_what_livekit_did_not_sign_is_refused_before_it_is_read(token: str) -> None:
    """Learners hold tokens of the same key, and may send them here."""
    with pytest.raises(WebhookError, match="signed nothing"):
        signed_digest(token, [KEY])


def test_another_body_than_the_signed_one_is_refused() -> None:
    """Somebody on the way cannot change who came."""
    with pytest.raises(WebhookError, match="another body"):
        read(body(identity="eve"), sign(body()))


@pytest.mark.parametrize("text", [b"", b"3", b'{"event": 1}', b"\xff", b"[" * 5000])
def test_what_is_no_webhook_is_refused_by_name(text: bytes) -> None:
    """Even with LiveKit's signature."""
    with pytest.raises(WebhookError, match="no webhook"):
        read(text, sign(text))


@settings(max_examples=50, deadline=None)
@given(st.binary())
def test_no_bytes_whatever_raise_anything_else(data: bytes) -> None:
    """Signed or not."""
    for token in (data.decode(errors="replace"), sign(data)):
        with contextlib.suppress(WebhookError):
            assert isinstance(read(data, token), Hint)

"""Ephemeral keys: only their owner can open the answer."""

import base64
import dataclasses
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.core import Caller
from loqua_host.core.ephemeral import SUITE, EphemeralKey, purpose

CALLER = Caller("user_ana", "room-1", "loqua-tutor")


def sealed(key: EphemeralKey, text: str = "a.b.c", caller: Caller = CALLER) -> str:
    """Encrypt a token as the API does."""
    public = X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.public + "="))
    return base64.urlsafe_b64encode(SUITE.encrypt(text.encode(), public, purpose(caller))).decode()


@given(st.text(st.characters(codec="ascii"), max_size=3000))
def test_what_is_sealed_to_a_key_it_opens(token: str) -> None:
    """With base64url's padding or without."""
    key = EphemeralKey()
    data = sealed(key, token)
    assert key.open(data, CALLER).get_secret_value() == token
    assert key.open(data.rstrip("="), CALLER).get_secret_value() == token


def test_no_other_key_opens_it() -> None:
    """Not even the next one of the same host."""
    with pytest.raises(ValueError, match="cannot be opened"):
        EphemeralKey().open(sealed(EphemeralKey()), CALLER)


@pytest.mark.parametrize("field", ["user_id", "room", "agent_id"])
def test_it_opens_for_no_other_caller(field: str) -> None:
    """An answer that was meant for another learner is of no use."""
    key = EphemeralKey()
    other = dataclasses.replace(CALLER, **{field: "other"})
    with pytest.raises(ValueError, match="cannot be opened"):
        key.open(sealed(key, caller=other), CALLER)


@given(st.binary(max_size=200), st.integers(0, 50))
def test_nothing_that_was_changed_opens(noise: bytes, place: int) -> None:
    """Nor what never was sealed; every failure is a ValueError."""
    key = EphemeralKey()
    data = base64.urlsafe_b64decode(sealed(key))
    place = min(place, len(data) - 1)
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    for wrong in (changed, noise, data[:-1], data + b"\0"):
        with pytest.raises(ValueError, match=r"."):
            key.open(base64.urlsafe_b64encode(wrong).decode(), CALLER)
    for wrong in ("ä", "=", "a b", "!!!!"):
        with pytest.raises(ValueError, match=r"."):
            key.open(wrong, CALLER)


def test_no_key_comes_twice_and_none_shows() -> None:
    """A key lives for one exchange."""
    keys = [EphemeralKey() for _ in range(50)]
    assert len({key.public for key in keys}) == 50
    assert all(len(key.public) == 43 for key in keys)
    for one, other in itertools.pairwise(keys):
        assert repr(one).partition(" at ")[0] == repr(other).partition(" at ")[0]

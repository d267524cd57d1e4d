"""Decryption and claims of user tokens, and the causes of invalid ones."""

import base64
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.unit.core.conftest import EPOCH, encrypt, jwt

from loqua_host.core import Caller, tokens
from loqua_host.core.secrets import Sealed
from loqua_host.core.tokens import TokenCause
from loqua_host.core.wire import UserTokenAnswer
from loqua_host.errors import TokenError

SECRET = Sealed("shared-secret")
CALLER = Caller("user-1", "room-1", "agent-1")

secrets = st.text(max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def answer(token: str, **changes: object) -> UserTokenAnswer:
    """Return the API's answer with this encrypted token."""
    fields = {
        "encrypted_token": token,
        "user_id": "user-1",
        "room_name": "room-1",
        "issued_to": "agent-1",
        "expires_in": 3600,
        **changes,
    }
    return UserTokenAnswer.model_validate(fields)


def coded(value: object) -> str:
    """Return a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def cause_of(failing: pytest.ExceptionInfo[TokenError]) -> str:
    """Return the cause that an error names, once it is sure that it shows nothing else."""
    assert failing.value.__cause__ is None
    assert failing.value.__context__ is None or failing.value.__suppress_context__
    assert SECRET.get_secret_value() not in str(failing.value)
    return failing.value.cause


@given(secret=secrets, exp=st.integers(1, 10**10), iv=st.binary(min_size=16, max_size=16))
@example(secret="", exp=1, iv=bytes(16))
@example(secret="x" * 33, exp=1, iv=bytes(16))
def test_what_the_api_encrypts_is_what_is_decrypted(secret: str, exp: int, iv: bytes) -> None:
    """The way back is exact for every secret; a short one is padded, a long one is cut."""
    token = jwt(exp=exp)
    assume(len(secret.encode()) <= 32 or len(secret) == len(secret.encode()))
    decrypted = tokens.decrypt(encrypt(token, secret, iv), Sealed(secret))
    assert decrypted.get_secret_value() == token
    assert tokens.read_claims(decrypted).exp == exp


@given(st.text())
@example(":")
@example("a" * 32 + ":" + "b" * 32)
@example("00" * 16 + ":" + "00" * 16)
@example("00 " * 16 + ":" + "00 " * 16)
@example("٣" * 32 + ":" + "٣" * 32)
def test_no_text_whatever_raises_anything_but_a_token_error(text: str) -> None:
    """Fuzzed: garbage for a token is a named cause."""
    with pytest.raises(TokenError) as failing:
        tokens.decrypt(text, SECRET)
    assert cause_of(failing) in set(TokenCause)


@given(iv=st.binary(min_size=16, max_size=16), data=st.binary(min_size=16, max_size=160))
def test_no_ciphertext_whatever_raises_anything_but_a_token_error(iv: bytes, data: bytes) -> None:
    """Fuzzed: well-formed hexadecimal that nobody encrypted."""
    with pytest.raises(TokenError) as failing:
        tokens.decrypt(f"{iv.hex()}:{data.hex()}", SECRET)
    cause_of(failing)


@given(header=json_values, payload=json_values)
@example(header={}, payload={"exp": True})
@example(header={}, payload={"exp": "2000000000"})
@example(header={}, payload={"exp": float("inf")})
@example(header={}, payload={"exp": float("nan")})
@example(header={}, payload={"exp": 10**400})
@example(header={}, payload={"exp": -1})
def test_no_claims_whatever_raise_anything_but_a_token_error(
    header: object, payload: object
) -> None:
    """Fuzzed: any JSON in header and payload is claims with a date in `exp`, or a named cause."""
    token = Sealed(f"{coded(header)}.{coded(payload)}.sig")
    try:
        exp = tokens.read_claims(token).exp
    except TokenError as error:
        cause = error.cause
    else:
        assert isinstance(payload, dict)
        assert exp == payload["exp"]
        assert 0 < exp < 1e11
        cause = TokenCause.NO_EXPIRY
    assert cause in {TokenCause.NOT_A_JWT, TokenCause.NO_EXPIRY}


@given(st.text(alphabet="abcXYZ019_-.=", max_size=60))
@example("." * 2)
@example("W" * 40000 + ".W.W")
def test_no_jwt_text_whatever_raises_anything_but_a_token_error(text: str) -> None:
    """Fuzzed: what only looks like a JWT."""
    with pytest.raises(TokenError):
        tokens.read_claims(Sealed(text))


def test_a_payload_nested_without_end_is_no_jwt() -> None:
    """A depth that breaks a parser is a named cause too."""
    deep = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    with pytest.raises(TokenError) as failing:
        tokens.read_claims(Sealed(f"{deep}.{deep}.sig"))
    assert cause_of(failing) == TokenCause.NOT_A_JWT


good = encrypt(jwt(exp=EPOCH + 60), "shared-secret")


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        ("", TokenCause.MALFORMED),
        ("00" * 32, TokenCause.MALFORMED),
        (good + ":", TokenCause.MALFORMED),
        (":" + good, TokenCause.MALFORMED),
        ("xy" + good[2:], TokenCause.NOT_HEXADECIMAL),
        (good[1:], TokenCause.NOT_HEXADECIMAL),
        (good[2:], TokenCause.NOT_HEXADECIMAL),
        (good[:-2], TokenCause.NOT_HEXADECIMAL),
        ("00" + good, TokenCause.NOT_HEXADECIMAL),
        ("00" * 16 + ":", TokenCause.NOT_HEXADECIMAL),
        (encrypt(jwt(exp=EPOCH + 60), "another"), TokenCause.WRONG_SECRET),
        (encrypt("señal.b.c", "shared-secret"), TokenCause.WRONG_SECRET),
        (encrypt("no jwt", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("a.b", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("a.b.", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("a.b.c.d", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("a.b.c\n", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("W10.e30.c", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("e30.W10.c", "shared-secret"), TokenCause.NOT_A_JWT),
        (encrypt("e30.e30.c", "shared-secret"), TokenCause.NO_EXPIRY),
        (encrypt(jwt(exp="soon"), "shared-secret"), TokenCause.NO_EXPIRY),
        (encrypt(jwt(exp=0), "shared-secret"), TokenCause.NO_EXPIRY),
        (encrypt(jwt(exp=1e11), "shared-secret"), TokenCause.NO_EXPIRY),
        (encrypt(jwt(exp=EPOCH), "shared-secret"), TokenCause.EXPIRED),
        (encrypt(jwt(exp=EPOCH - 1), "shared-secret"), TokenCause.EXPIRED),
    ],
)
def test_every_fault_of_a_token_has_its_name(token: str, cause: TokenCause) -> None:
    """The error names one of the guide's causes, and never contains the token."""
    with pytest.raises(TokenError) as failing:
        tokens.accept(answer(token), CALLER, [SECRET], server_now=EPOCH)
    assert cause_of(failing) == cause
    assert str(failing.value).startswith(f"user-token: {cause}: ")
    assert not token or token not in str(failing.value)


@pytest.mark.parametrize("field", ["user_id", "room_name", "issued_to"])
def test_an_answer_for_somebody_else_is_not_used(field: str) -> None:
    """User, room and agent of the answer are those that were asked for."""
    with pytest.raises(TokenError) as failing:
        tokens.accept(answer(good, **{field: "other"}), CALLER, [SECRET], server_now=EPOCH)
    assert cause_of(failing) == TokenCause.OTHER_CALLER


def test_the_shorter_of_both_lives_counts() -> None:
    """`exp` and `expires_in` may differ; the token is trusted for the shorter time."""
    by_exp = tokens.accept(answer(good), CALLER, [SECRET], server_now=EPOCH)
    by_answer = tokens.accept(answer(good, expires_in=7), CALLER, [SECRET], server_now=EPOCH)
    assert (by_exp[1], by_answer[1]) == (60, 7)


def test_a_life_that_the_answer_does_not_say_is_the_tokens_own() -> None:
    """Its `exp` is enough."""
    _, life = tokens.accept(answer(good, expires_in=None), CALLER, [SECRET], server_now=EPOCH)
    assert life == 60


def test_odd_claims_beside_the_expiry_do_no_harm() -> None:
    """A name that was cut inside of a character, a number that is none."""
    token = jwt(exp=EPOCH, name="Mia \ud83d", score=float("nan"), deep=[[[]]])
    assert tokens.read_claims(Sealed(token)).exp == EPOCH


def test_the_shortest_life_is_a_life() -> None:
    """A token of half a second is good for half a second."""
    _, life = tokens.accept(answer(good, expires_in=0.5), CALLER, [SECRET], server_now=EPOCH)
    assert life == 0.5


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_life_of_nothing_is_expired(seconds: int) -> None:
    """Also when `exp` says otherwise."""
    with pytest.raises(TokenError) as failing:
        tokens.accept(answer(good, expires_in=seconds), CALLER, [SECRET], server_now=EPOCH)
    assert cause_of(failing) == TokenCause.EXPIRED


@pytest.mark.parametrize("order", [["new", "shared-secret"], ["shared-secret", "new"]])
def test_while_the_secret_is_rotated_either_value_decrypts(order: list[str]) -> None:
    """Current and previous are tried; which one the API still uses does not matter."""
    decrypted = tokens.decrypt_any(good, map(Sealed, order))
    assert decrypted.get_secret_value() == jwt(exp=EPOCH + 60)


def test_a_malformed_token_is_not_blamed_on_the_secret() -> None:
    """A token that no secret could decrypt is reported as malformed."""
    with pytest.raises(TokenError) as failing:
        tokens.decrypt_any("::", [SECRET, SECRET])
    assert cause_of(failing) == TokenCause.MALFORMED


def test_the_answers_repr_shows_no_ciphertext() -> None:
    """Even what is encrypted stays out of logs."""
    assert good not in repr(answer(good))

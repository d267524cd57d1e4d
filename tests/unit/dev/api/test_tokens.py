"""Tokens: encryption, signatures, owners and expiry."""

import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.dev.api import DevApiSettings
from loqua_host.dev.api.tokens import AgentClaims, encrypt, verified

IV = bytes(range(16))


@given(token=st.text(), secret=st.text(min_size=1, max_size=80))
def test_whatever_is_encrypted_decrypts_by_the_guides_steps(token: str, secret: str) -> None:
    """Split at the colon, pad or truncate the key, AES-256-CBC, PKCS7 off: the token again."""
    token, secret = (text.encode(errors="replace").decode() for text in (token, secret))
    iv, data = (bytes.fromhex(part) for part in encrypt(token, secret, IV).split(":"))
    key = secret.encode()[:32] + bytes(max(0, 32 - len(secret.encode())))
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(data) + decryptor.finalize()
    assert (unpadder.update(padded) + unpadder.finalize()).decode() == token


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk"]),
        st.sampled_from(["HS256", "none", "", None, 1, [], {}, ["exp"], False]),
    ),
    payload=st.sampled_from(["", "bnVsbA", "e30", "W10", "!"]),
    signature=st.sampled_from(["", "AAAA", "!", "é"]),
)
def test_whatever_is_no_token_of_ours_is_an_invalid_token(
    header: dict[str, Any], payload: str, signature: str
) -> None:
    """No header, however odd, raises anything else."""
    encoded = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    with pytest.raises(jwt.InvalidTokenError):
        verified(f"{encoded}.{payload}.{signature}", AgentClaims, "s" * 32, now=0)


async def test_each_exchange_has_an_iv_of_its_own(agent: Any) -> None:
    """Two exchanges share nothing that a listener could compare."""
    first, second = [(await agent.ask_token()).json()["encrypted_token"] for _ in range(2)]
    assert first.split(":")[0] != second.split(":")[0]


async def test_a_learners_token_says_who_where_by_whom_and_until_when(
    agent: Any, settings: DevApiSettings, clock: Any
) -> None:
    """The claims are signed with the API's own key."""
    secret = settings.user_signing_secret.get_secret_value()
    claims = jwt.decode(agent.token, secret, algorithms=["HS256"], options={"verify_exp": False})
    assert claims == {
        "sub": "user_ana",
        "user_id": "user_ana",
        "room": "room_1",
        "agent_id": "loqua-spanish-tutor",
        "iat": clock.now,
        "exp": clock.now + 3600,
        "permissions": ["user.progress", "session.create", "user.context"],
    }


async def test_one_agent_token_serves_every_tutor(anyone: Any) -> None:
    """Each tutor may have an agent id of its own; the host's JWT is one."""
    for agent_id in ("loqua-spanish-tutor", "pronunciation-specialist"):
        assert (await anyone(agent_id, "user_ben").ask_token()).json()["issued_to"] == agent_id


async def test_a_user_whom_nobody_knows_gets_no_token(agent: Any) -> None:
    """404, as the guide says."""
    answer = await agent.ask_token(user_id="user_nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "USER_NOT_FOUND"


async def test_an_agent_may_not_ask_in_anothers_name(agent: Any) -> None:
    """The body's agent and the header's are one."""
    answer = await agent.ask_token(agent_id="another-agent")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "AGENT_MISMATCH"


@pytest.mark.parametrize("field", ["room_name", "user_id", "agent_id"])
async def test_an_exchange_names_the_field_that_it_misses(agent: Any, field: str) -> None:
    """400 with the field's name, as for a null."""
    answer = await agent.ask_token(**{field: None})
    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]


def forged(settings: DevApiSettings) -> dict[str, str]:
    """Return tokens that the API must refuse."""
    other = DevApiSettings.model_validate(
        settings.model_dump() | {"agent_signing_secret": "x" * 64}
    )
    unsigned = jwt.encode({"sub": "loqua", "iat": 0, "exp": 2**40}, "", algorithm="none")
    return {
        "signed by another": other.mint_agent_jwt("loqua"),
        "unsigned": unsigned,
        "no JWT at all": "agent",
        "expired": settings.mint_agent_jwt("loqua", timedelta(days=-5000)),
    }


@pytest.mark.parametrize("forgery", ["signed by another", "unsigned", "no JWT at all", "expired"])
async def test_a_false_agent_token_gets_nothing(
    agent: Any, settings: DevApiSettings, forgery: str
) -> None:
    """401, and no word of the token in the answer."""
    token = forged(settings)[forgery]
    answer = await agent.client.post(
        "/api/v1/agent/user-token",
        json={"room_name": "r", "user_id": "user_ana", "agent_id": agent.agent_id},
        headers=agent.agent_headers() | {"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "INVALID_AGENT_TOKEN"
    assert token not in answer.text


async def test_a_learners_token_is_no_agents_token_and_the_other_way_round(
    agent: Any, settings: DevApiSettings
) -> None:
    """Each kind is signed with its own key, and has claims that the other lacks."""
    with pytest.raises(jwt.MissingRequiredClaimError):
        verified(agent.token, AgentClaims, settings.user_signing_secret.get_secret_value(), now=0)
    as_agent = await agent.client.post(
        "/api/v1/agent/user-token",
        json={"room_name": "r", "user_id": "user_ana", "agent_id": agent.agent_id},
        headers=agent.headers(),
    )
    agent.token = settings.mint_agent_jwt("loqua")
    as_user = await agent.context()
    assert (as_agent.status_code, as_user.status_code) == (401, 401)


async def test_a_learners_token_ends_when_it_says(agent: Any, clock: Any) -> None:
    """Good until its last second, 401 from then on."""
    clock.now += 3599
    assert (await agent.context()).status_code == 200
    clock.now += 1
    answer = await agent.context()
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "INVALID_USER_TOKEN"


def test_the_settings_show_no_secret(settings: DevApiSettings) -> None:
    """Neither repr nor str contains one."""
    shown = repr(settings) + str(settings)
    hidden = [
        settings.shared_secret,
        settings.livekit_api_secret,
        settings.agent_signing_secret,
        settings.user_signing_secret,
    ]
    assert not [secret for secret in hidden if secret.get_secret_value() in shown]

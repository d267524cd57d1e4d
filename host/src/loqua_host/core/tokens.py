"""User tokens as pure logic: decryption, JWT format, claims, lifetime.

The API encrypts a user's JWT with AES-256-CBC and sends `{iv_hex}:{data_hex}`; the key is the
shared secret, padded with zero bytes or cut to 32. The JWT's signature is the API's to check.
"""

import base64
from binascii import unhexlify
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from loqua_host.errors import TokenError

from .caller import Caller
from .ephemeral import SCHEME, EphemeralKey
from .json_reader import parse_json
from .secrets import JWT, Sealed
from .wire import UserTokenAnswer

__all__ = [
    "OF_ANOTHER_SECRET",
    "JwtClaims",
    "TokenCause",
    "accept",
    "decrypt",
    "decrypt_any",
    "read_claims",
    "read_payload",
]

KEY_BYTES = 32
BLOCK_BYTES = 16


class TokenCause(StrEnum):
    """The reason why an exchanged token cannot be used."""

    MALFORMED = "malformed_token"
    NOT_HEXADECIMAL = "not_hexadecimal"
    WRONG_SECRET = "wrong_shared_secret"  # noqa: S105  (the name of a cause)
    NOT_A_JWT = "not_a_jwt"
    NO_EXPIRY = "no_expiry"
    EXPIRED = "expired"
    OTHER_CALLER = "other_caller"
    NOT_SEALED = "not_sealed"
    SEALED_OTHERWISE = "sealed_otherwise"


OF_ANOTHER_SECRET = frozenset({TokenCause.WRONG_SECRET, TokenCause.NOT_A_JWT})
"""Symptoms of decryption with a wrong secret."""

_REMEDIES = {
    TokenCause.MALFORMED: "the encrypted token must be {iv_hex}:{data_hex} with exactly one ':'; "
    "check that api.api_base_url is the Loqua API",
    TokenCause.NOT_HEXADECIMAL: "IV and data must be hexadecimal, 16 bytes of IV and whole "
    "16-byte blocks of data; report it to the API team",
    TokenCause.WRONG_SECRET: "decryption failed; make SHARED_SECRET the same as the API's",
    TokenCause.NOT_A_JWT: "the decrypted text is not header.payload.signature; check that "
    "SHARED_SECRET is the API's, then report it to the API team",
    TokenCause.NO_EXPIRY: "the JWT has no usable 'exp' claim; report it to the API team",
    TokenCause.EXPIRED: "the JWT had expired on arrival; check the API's clock and token life",
    TokenCause.OTHER_CALLER: "the token is for another user, room or agent; "
    "report it to the API team",
    TokenCause.NOT_SEALED: "the API ignored the offered key; write "
    "api.ephemeral_keys: offered in config/host.yaml, or have the API take it",
    TokenCause.SEALED_OTHERWISE: "the token was not sealed to the key and caller that asked for "
    "it; report it to the API team",
}


def token_error(cause: TokenCause) -> TokenError:
    """Return the error for a cause, with what the operator has to fix."""
    return TokenError(cause, f"{cause}: {_REMEDIES[cause]}")


class JwtClaims(BaseModel):
    """The claims of a JWT that the host reads."""

    model_config = ConfigDict(frozen=True)

    exp: Annotated[float, Field(strict=True, gt=0, lt=1e11)]


def decrypt_any(encrypted: str, secrets: Iterable[SecretStr]) -> Sealed:
    """Return the JWT that the first fitting secret decrypts; during a rotation there are two.

    Raises:
        TokenError: None fits, or the token is malformed.
    """
    for secret in secrets:
        try:
            return decrypt(encrypted, secret)
        except TokenError as error:
            if error.cause not in OF_ANOTHER_SECRET:
                raise
            failure = error
    raise failure


def decrypt(encrypted: str, secret: SecretStr) -> Sealed:
    """Return the JWT within an encrypted token.

    Raises:
        TokenError: Malformed, not hexadecimal, encrypted with another secret, or not a JWT.
    """
    iv, data = _split(encrypted)
    unpadder = PKCS7(AES.block_size).unpadder()
    try:
        decryptor = Cipher(AES(_key(secret)), CBC(iv)).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        jwt = Sealed((unpadder.update(padded) + unpadder.finalize()).decode("ascii"))
    except ValueError:
        raise token_error(TokenCause.WRONG_SECRET) from None
    if not JWT.fullmatch(jwt.get_secret_value()):
        raise token_error(TokenCause.NOT_A_JWT)
    return jwt


def _split(encrypted: str) -> tuple[bytes, bytes]:
    parts = encrypted.split(":")
    if len(parts) != 2:  # noqa: PLR2004  (IV and data)
        raise token_error(TokenCause.MALFORMED)
    try:
        iv, data = (unhexlify(part) for part in parts)
    except ValueError:
        raise token_error(TokenCause.NOT_HEXADECIMAL) from None
    if len(iv) != BLOCK_BYTES or not data or len(data) % BLOCK_BYTES:
        raise token_error(TokenCause.NOT_HEXADECIMAL)
    return iv, data


def _key(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode().ljust(KEY_BYTES, b"\0")[:KEY_BYTES]


def read_claims(jwt: SecretStr) -> JwtClaims:
    """Return the claims of a JWT, its signature unchecked.

    Raises:
        TokenError: Header or payload is not a JSON object, or `exp` is missing or no date.
    """
    try:
        return JwtClaims.model_validate(read_payload(jwt))
    except ValidationError:
        raise token_error(TokenCause.NO_EXPIRY) from None


def read_payload(jwt: SecretStr) -> Mapping[str, object]:
    """Return the payload of a JWT, its signature unchecked.

    Raises:
        TokenError: Header or payload is not a JSON object.
    """
    match = JWT.fullmatch(jwt.get_secret_value())
    if match is None:
        raise token_error(TokenCause.NOT_A_JWT)
    try:
        header, payload = (_decode(part) for part in match.groups())
    except ValueError:
        raise token_error(TokenCause.NOT_A_JWT) from None
    if not (isinstance(header, dict) and isinstance(payload, dict)):
        raise token_error(TokenCause.NOT_A_JWT)
    return payload


def _decode(part: str) -> object:
    # JWTs leave the padding out; more of it than is missing does no harm.
    return parse_json(base64.urlsafe_b64decode(part + "=="))


def accept(
    answer: UserTokenAnswer,
    caller: Caller,
    secrets: Iterable[SecretStr],
    *,
    server_now: float,
    key: EphemeralKey | None = None,
) -> tuple[Sealed, float]:
    """Return the user's JWT from an answer, and for how many seconds it is good.

    `server_now` is the API's own time, so that no clock of ours shortens a token's life; `key`
    is what was offered to seal the token to.

    Raises:
        TokenError: The token cannot be used; its cause says why.
    """
    asked = (caller.user_id, caller.room, caller.agent_id)
    if (answer.user_id, answer.room_name, answer.issued_to) != asked:
        raise token_error(TokenCause.OTHER_CALLER)
    if answer.encryption is None:
        jwt = decrypt_any(answer.encrypted_token, secrets)
    else:
        jwt = _unseal(answer, caller, key)
    lifetime = read_claims(jwt).exp - server_now
    if answer.expires_in is not None:
        lifetime = min(lifetime, answer.expires_in)
    if lifetime <= 0:
        raise token_error(TokenCause.EXPIRED)
    return jwt, lifetime


def _unseal(answer: UserTokenAnswer, caller: Caller, key: EphemeralKey | None) -> Sealed:
    if key is None or answer.encryption != SCHEME:
        raise token_error(TokenCause.SEALED_OTHERWISE)
    try:
        return key.open(answer.encrypted_token, caller)
    except ValueError:
        raise token_error(TokenCause.SEALED_OTHERWISE) from None

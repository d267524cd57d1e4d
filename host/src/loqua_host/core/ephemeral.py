"""Ephemeral keys: the API seals a user's token to the key of one exchange (HPKE, RFC 9180).

The agent offers a fresh public key in `HEADER`; an API that takes it answers with
`"encryption": SCHEME` and, as the encrypted token, the key encapsulation and the ciphertext in
base64url. Any other API does not look at the header, and encrypts with the shared secret.
"""

import base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from .caller import Caller
from .secrets import Sealed

__all__ = ["HEADER", "SCHEME", "SUITE", "EphemeralKey", "purpose"]

HEADER = "X-Agent-Public-Key"
SCHEME = "hpke-x25519-hkdf-sha256-aes-256-gcm"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class EphemeralKey:
    """A key that is never stored, so that a later leak of the host's secrets decrypts nothing."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()

    @property
    def public(self) -> str:
        """The half to offer, in base64url."""
        raw = self._private.public_key().public_bytes_raw()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def open(self, sealed: str, caller: Caller) -> Sealed:
        """Return the token that was sealed to this key for this caller.

        Raises:
            ValueError: It was sealed to another key, for another caller, or changed since.
        """
        try:
            data = base64.b64decode(sealed + "=" * (-len(sealed) % 4), b"-_", validate=True)
            return Sealed(SUITE.decrypt(data, self._private, purpose(caller)).decode("ascii"))
        except InvalidTag:
            raise ValueError("cannot be opened") from None


def purpose(caller: Caller) -> bytes:
    """Return HPKE's info, which binds an encrypted token to its caller."""
    return f"loqua user token\0{caller.agent_id}\0{caller.room}\0{caller.user_id}".encode()

"""Encryption of learners' data in the ledger with AES-256-GCM. The key is not in the ledger.

Values that must be searchable have a blind index, an HMAC of the text.
"""

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from loqua_host.errors import DecryptionError, LedgerError

__all__ = ["Cipher", "KeyRing", "LedgerCipher"]

NONCE_BYTES = 12


class Cipher(Protocol):
    """Encrypt texts, each for one field of the ledger.

    Attributes:
        key_id: The id of the key, which reveals nothing about it.
    """

    @property
    def key_id(self) -> str:
        """The id of the key."""

    def encrypt(self, text: str, field: str) -> str:
        """Return the text as it is stored in that field."""

    def decrypt(self, stored: str, field: str) -> str:
        """Return the text that was encrypted for that field."""

    def blind_index(self, text: str) -> str:
        """Return the blind index of a text: equal for equal texts."""


class NullCipher:
    """Store texts unencrypted, for development."""

    key_id = ""

    def encrypt(self, text: str, field: str) -> str:  # noqa: ARG002  # the port's
        """Return the text."""
        return text

    def decrypt(self, stored: str, field: str) -> str:  # noqa: ARG002  # the port's
        """Return the text."""
        return stored

    def blind_index(self, text: str) -> str:
        """Return the text."""
        return text


class LedgerCipher:
    """Encrypt texts with a key; it cannot be printed.

    Args:
        secret: Any text with 32 bytes of entropy, from which the keys are derived.
    """

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(_derive(secret, b"loqua ledger: encryption"))
        self._index_key = _derive(secret, b"loqua ledger: blind index")
        self.key_id = _derive(secret, b"loqua ledger: key id").hex()[:16]

    def encrypt(self, text: str, field: str) -> str:
        """Return the text encrypted and bound to one field (as associated data)."""
        nonce = os.urandom(NONCE_BYTES)
        encrypted = self._cipher.encrypt(nonce, text.encode(), field.encode())
        return b64encode(nonce + encrypted).decode()

    def decrypt(self, stored: str, field: str) -> str:
        """Return the text that was encrypted for a field.

        Raises:
            DecryptionError: If it was encrypted under another key or for another field, or changed.
        """
        try:
            raw = b64decode(stored, validate=True)
            text = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], field.encode())
        except (ValueError, InvalidTag):
            raise DecryptionError(f"{field}: was modified by another program") from None
        return text.decode()

    def blind_index(self, text: str) -> str:
        """Return the HMAC of a text."""
        return hmac.new(self._index_key, text.encode(), hashlib.sha256).hexdigest()


class KeyRing:
    """The keys of a ledger: the current one, and older ones for existing data.

    Args:
        secrets: The newest first; without any, texts are stored unencrypted.
        plaintext: Whether to trust texts that a host without a key has stored.

    Attributes:
        current: The cipher to encrypt with. Read it once to encrypt several texts with one key.
    """

    def __init__(self, secrets: Sequence[str] = (), *, plaintext: bool = True) -> None:
        self.current: Cipher = NullCipher()
        trusted = plaintext or not secrets
        self._ciphers: dict[str, Cipher] = {"": self.current} if trusted else {}
        self.use(secrets)

    def use(self, secrets: Sequence[str]) -> bool:
        """Encrypt with the first of these from now on; return whether it has changed.

        Previous keys stay known, because existing data may be encrypted with them.
        """
        before = self.current.key_id
        ciphers: list[Cipher] = [LedgerCipher(secret) for secret in secrets]
        # Each is one atomic assignment, because other threads read them.
        self._ciphers = {**{cipher.key_id: cipher for cipher in ciphers}, **self._ciphers}
        self.current = self._ciphers[ciphers[0].key_id] if ciphers else self.current
        return self.current.key_id != before

    def cipher(self, key_id: str) -> Cipher:
        """Return the cipher of a key.

        Raises:
            LedgerError: If the key is not known.
        """
        try:
            return self._ciphers[key_id]
        except KeyError:
            if not key_id:
                hint = "find out what wrote it; a host outside production encrypts it, too"
                raise LedgerError(f"something is not encrypted; {hint}") from None
            hint = "set LEDGER_KEY_PREVIOUS to the key it was written with"
            raise LedgerError(f"encrypted with the unknown key {key_id}; {hint}") from None

    def blind_indexes(self, text: str) -> list[str]:
        """Return the blind indexes of a text, one for each key."""
        return [cipher.blind_index(text) for cipher in self._ciphers.values()]


def _derive(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret.encode())

"""Seals what the ledger keeps of learners: AES-256-GCM, under a key that is not in the ledger.

What is looked up is kept as an HMAC beside its sealed text, so that it can be found without the
ledger saying who it is.
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

from loqua_host.errors import LedgerError, SealError

__all__ = ["Keyring", "Seal", "Sealing"]

NONCE_BYTES = 12


class Sealing(Protocol):
    """How texts are kept.

    Attributes:
        key_id: Names the key; says nothing about it.
    """

    @property
    def key_id(self) -> str:
        """The key's name."""

    def seal(self, text: str, place: str) -> str:
        """Give the text as it is kept at that place of the ledger."""

    def open(self, sealed: str, place: str) -> str:
        """Give back the text that was sealed for that place."""

    def mark(self, text: str) -> str:
        """Give what a text is found by: the same for the same text."""


class Plain:
    """Keeps texts as they are, for development."""

    key_id = ""

    def seal(self, text: str, place: str) -> str:  # noqa: ARG002  # the port's
        """Give the text."""
        return text

    def open(self, sealed: str, place: str) -> str:  # noqa: ARG002  # the port's
        """Give the text."""
        return sealed

    def mark(self, text: str) -> str:
        """Give the text."""
        return text


class Seal:
    """Keeps texts under a key; unprintable.

    Args:
        secret: Any text with 32 bytes of entropy; the keys proper are derived from it.
    """

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(_derived(secret, b"loqua ledger: sealing"))
        self._marking = _derived(secret, b"loqua ledger: marks")
        self.key_id = _derived(secret, b"loqua ledger: name of the key").hex()[:16]

    def seal(self, text: str, place: str) -> str:
        """Give the text sealed for one place, so that it cannot be moved to another unseen."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), place.encode())
        return b64encode(nonce + sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Give back a sealed text.

        Raises:
            SealError: If it was sealed under another key or for another place, or changed.
        """
        try:
            raw = b64decode(sealed, validate=True)
            text = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode())
        except (ValueError, InvalidTag):
            raise SealError(f"{place}: was changed behind the host's back") from None
        return text.decode()

    def mark(self, text: str) -> str:
        """Give the HMAC that a text is found by."""
        return hmac.new(self._marking, text.encode(), hashlib.sha256).hexdigest()


class Keyring:
    """The keys of a ledger: one to write with, and older ones to read what is not yet rewritten.

    Args:
        secrets: The newest first; without any, texts are kept as they are.
        unsealed: Whether texts are believed that a host without a key kept as they were.

    Attributes:
        current: The one to write with; whoever writes twice with one asks for it once.
    """

    def __init__(self, secrets: Sequence[str] = (), *, unsealed: bool = True) -> None:
        self.current: Sealing = Plain()
        believed = unsealed or not secrets
        self._known: dict[str, Sealing] = {"": self.current} if believed else {}
        self.adopt(secrets)

    def adopt(self, secrets: Sequence[str]) -> bool:
        """Write with the first of these from now on; True if that is another than before.

        All that were known before stay so: something may be sealed with them yet.
        """
        before = self.current.key_id
        sealings: list[Sealing] = [Seal(secret) for secret in secrets]
        # In one step each, since other threads read them.
        self._known = {**{sealing.key_id: sealing for sealing in sealings}, **self._known}
        self.current = self._known[sealings[0].key_id] if sealings else self.current
        return self.current.key_id != before

    def of(self, key_id: str) -> Sealing:
        """Give the sealing of that key.

        Raises:
            LedgerError: If it is none of these.
        """
        try:
            return self._known[key_id]
        except KeyError:
            if not key_id:
                mend = "find out who wrote it; a host outside production would seal it"
                raise LedgerError(f"something is not sealed; {mend}") from None
            mend = "set LEDGER_KEY_PREVIOUS to the key it was written with"
            raise LedgerError(f"sealed with the key {key_id}, which is not here; {mend}") from None

    def marks(self, text: str) -> list[str]:
        """Give what a text may be found by."""
        return [sealing.mark(text) for sealing in self._known.values()]


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret.encode())

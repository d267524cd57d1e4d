"""Renewal of the ops address's certificate in a running host."""

import ssl
from hashlib import sha256
from pathlib import Path

import structlog

from loqua_host.core.clock import Clock
from loqua_host.settings.certificates import expires_at, load_certificate, serving_context
from loqua_host.settings.host import TlsSettings

__all__ = ["ServedCertificate"]

log = structlog.get_logger()

POLL_SECONDS = 60.0
"""Seconds between checks of the files."""


class ServedCertificate:
    """The certificate of the ops address.

    Attributes:
        expires_at: When it expires, in Unix seconds; None before it is served, or if unknown.
    """

    def __init__(self, tls: TlsSettings, clock: Clock) -> None:
        self.expires_at: float | None = None
        self._tls = tls
        self._clock = clock

    def seconds_left(self) -> float | None:
        """Return the seconds until it expires, negative after it."""
        return None if self.expires_at is None else self.expires_at - self._clock.now()

    def load(self) -> ssl.SSLContext:
        """Return a server context with the certificate.

        Raises:
            OSError: If a file cannot be read or is not PEM, or certificate and key do not match.
        """
        return serving_context(self._tls)

    def on_served(self) -> None:
        """Note that the current contents of the files are served."""
        self.expires_at = expires_at(self._tls)

    async def follow_renewals(self, context: ssl.SSLContext) -> None:
        """Reload a renewed certificate into a context, until cancelled.

        Files that do not match, or cannot be read, change nothing.
        """
        served = _digests(self._tls)
        while True:
            await self._clock.sleep(POLL_SECONDS)
            found = _digests(self._tls)
            if found == served:
                continue
            try:
                self.load()
                load_certificate(context, self._tls)
            except OSError as error:
                hint = "put a certificate and its key into the files that ops.tls names"
                log.warning("ops.certificate_kept", why=str(error), hint=hint)
            else:
                served = found
                self.on_served()
                log.info("ops.certificate_renewed", certificate_expires_at=self.expires_at)


def _digests(tls: TlsSettings) -> tuple[bytes | None, bytes | None]:
    return _digest(tls.certificate), _digest(tls.key)


def _digest(file: Path) -> bytes | None:
    try:
        return sha256(file.read_bytes()).digest()
    except OSError:
        return None

"""A certificate that is renewed under a running host."""

import ssl
from hashlib import sha256
from pathlib import Path

import structlog

from loqua_host.core.clock import Clock
from loqua_host.settings.certificates import (
    expires_at,
    load_certificate,
    serving_context,
)
from loqua_host.settings.host import TlsSettings

__all__ = ["follow_renewals"]

log = structlog.get_logger()

LOOK_EVERY = 60.0
"""Seconds between two looks at the files."""


async def follow_renewals(context: ssl.SSLContext, tls: TlsSettings, clock: Clock) -> None:
    """Have a context serve with a renewed certificate, until cancelled.

    Of files that do not belong together, or cannot be read, it takes nothing.
    """
    served = _digests(tls)
    while True:
        await clock.sleep(LOOK_EVERY)
        found = _digests(tls)
        if found == served:
            continue
        try:
            serving_context(tls)
            load_certificate(context, tls)
        except OSError as error:
            mend = "have a certificate and its key in the files that ops.tls names"
            log.warning("ops.certificate_kept", why=str(error), mend=mend)
        else:
            served = found
            log.info("ops.certificate_renewed", certificate_expires_at=expires_at(tls))


def _digests(tls: TlsSettings) -> tuple[bytes | None, bytes | None]:
    return _digest(tls.certificate), _digest(tls.key)


def _digest(file: Path) -> bytes | None:
    try:
        return sha256(file.read_bytes()).digest()
    except OSError:
        return None

"""The certificate that the ops address serves with, from its files."""

import ssl
import time
from collections.abc import Callable, Iterator

from cryptography import x509

from loqua_host.errors import Problem

from .host import Environment, OpsSettings, TlsSettings
from .problems import Place

__all__ = [
    "expired",
    "expires_at",
    "load_certificate",
    "ops_problems",
    "serving_context",
    "trusting_context",
]

RENEW = "have a renewed certificate and its key in the files that ops.tls names"


def serving_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return what serves with the certificate.

    Raises:
        OSError: If a file cannot be read or is no PEM, or the two do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # OpenSSL's own default is a machine's
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    """Load the files' present contents into a context.

    Raises:
        OSError: As above; then the context may have but a half of it.
    """
    # Without an answer to it, a key with a password would have the process ask a terminal.
    context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")


def expires_at(tls: TlsSettings) -> float | None:
    """Return when the certificate expires, in unix seconds; None when it does not say."""
    try:
        certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return certificate.not_valid_after_utc.timestamp()


def expired(ops: OpsSettings, where: Callable[[Place], str]) -> Iterator[Problem]:
    """Yield the problem of an expired certificate: clients would refuse it."""
    until = expires_at(ops.tls) if ops.tls else None
    if until is not None and until <= time.time():
        yield Problem(where(("ops", "tls", "certificate")), "has expired", RENEW)


def trusting_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return what believes only who serves with this very certificate, by whatever name.

    Raises:
        OSError: If the certificate cannot be read.
    """
    context = ssl.create_default_context(cafile=tls.certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def ops_problems(
    ops: OpsSettings, environment: Environment, where: Callable[[Place], str]
) -> Iterator[Problem]:
    """Find what keeps the ops address from being reached safely.

    Args:
        ops: Its settings.
        environment: In production no token goes over a network in the open.
        where: Names the file and key of a setting.
    """
    if ops.tls is not None:
        yield from _tls_problems(ops.tls, where)
    elif environment is Environment.PRODUCTION and not ops.is_private:
        yield Problem(
            where(("ops", "address")),
            "is open to a network, without TLS",
            "write ops.tls with certificate: and key:, or 127.0.0.1 "
            "and have a proxy beside the host end TLS",
        )


def _tls_problems(tls: TlsSettings, where: Callable[[Place], str]) -> Iterator[Problem]:
    try:
        serving_context(tls)
    except ssl.SSLError:
        yield Problem(
            where(("ops", "tls")),
            "names no certificate and key that belong together",
            "write certificate: and key:, two PEM files, the key's without a password",
        )
    except OSError:
        for name, file in (("certificate", tls.certificate), ("key", tls.key)):
            try:
                file.read_bytes()
            except OSError as error:
                what, hint = (
                    f"cannot be read: {error.strerror}",
                    "write a file that the host may read",
                )
                yield Problem(where(("ops", "tls", name)), what, hint)

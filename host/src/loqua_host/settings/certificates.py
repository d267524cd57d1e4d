"""The TLS certificate of the ops address."""

import ssl
import time
from collections.abc import Callable, Iterator

from cryptography import x509

from loqua_host.errors import Problem

from .host import Environment, OpsSettings, TlsSettings
from .problems import KeyPath

__all__ = [
    "expired",
    "expires_at",
    "load_certificate",
    "ops_problems",
    "serving_context",
    "trusting_context",
]

RENEW = "renew the certificate and its key in the files that ops.tls names"


def serving_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return a server context with the certificate.

    Raises:
        OSError: If a file cannot be read or is not PEM, or certificate and key do not match.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # OpenSSL's default depends on the machine
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    """Load the current contents of the files into a context.

    Raises:
        OSError: As above. The context may then have the certificate without its key.
    """
    # Without this callback, OpenSSL would ask the terminal for a key's password.
    context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")


def expires_at(tls: TlsSettings) -> float | None:
    """Return when the certificate expires, in Unix seconds, or None if it cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return certificate.not_valid_after_utc.timestamp()


def expired(
    ops: OpsSettings,
    where: Callable[[KeyPath], str],
    now: Callable[[], float] = time.time,
) -> Iterator[Problem]:
    """Yield a problem if the certificate has expired, because clients would refuse it."""
    until = expires_at(ops.tls) if ops.tls else None
    if until is not None and until <= now():
        yield Problem(where(("ops", "tls", "certificate")), "has expired", RENEW)


def trusting_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return a client context that trusts this certificate only, for any host name.

    Raises:
        OSError: If the certificate cannot be read.
    """
    context = ssl.create_default_context(cafile=tls.certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def ops_problems(
    ops: OpsSettings, environment: Environment, where: Callable[[KeyPath], str]
) -> Iterator[Problem]:
    """Find what makes the ops address unsafe.

    Args:
        ops: Its settings.
        environment: In production, tokens must not cross a network unencrypted.
        where: Returns the file and key of a setting.
    """
    if ops.tls is not None:
        yield from _tls_problems(ops.tls, where)
    elif environment is Environment.PRODUCTION and not ops.is_private:
        yield Problem(
            where(("ops", "address")),
            "is open to a network, without TLS",
            "write ops.tls with certificate: and key:, or 127.0.0.1 with a proxy beside the host "
            "that terminates TLS",
        )


def _tls_problems(tls: TlsSettings, where: Callable[[KeyPath], str]) -> Iterator[Problem]:
    try:
        serving_context(tls)
    except ssl.SSLError:
        yield Problem(
            where(("ops", "tls")),
            "names no matching certificate and key",
            "write certificate: and key:, two PEM files, the key without a password",
        )
    except OSError:
        for name, file in (("certificate", tls.certificate), ("key", tls.key)):
            try:
                file.read_bytes()
            except OSError as error:
                what, hint = (
                    f"cannot be read: {error.strerror}",
                    "write a file that the host can read",
                )
                yield Problem(where(("ops", "tls", name)), what, hint)

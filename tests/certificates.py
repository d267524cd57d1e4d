"""TLS certificates for loopback, from a certificate authority like an operator's."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["issue"]


def issue(directory: Path, password: bytes | None = None, days: float = 1) -> dict[str, str]:
    """Write a new certificate, signed by itself, and its key; return them as `ops.tls` has them.

    It is good for so many days more; less than 0 for one that has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loqua-host")])
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealing = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files = {"certificate": directory / "tls.crt", "key": directory / "tls.key"}
    files["certificate"].write_bytes(certificate.public_bytes(pem))
    files["key"].write_bytes(key.private_bytes(pem, form, sealing))
    return {what: str(file) for what, file in files.items()}

"""Addresses reached over real connections, encrypted or not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.core.test_http2 import certify

from loqua_host.diagnosis.finding import Finding, in_order
from loqua_host.diagnosis.reach import reach


@pytest.fixture
async def tls_port(tmp_path: Path) -> AsyncIterator[int]:
    """Listen with a certificate of one day."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certify(tmp_path))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def plain_port() -> AsyncIterator[int]:
    """Listen to whatever comes, and answer nothing that TLS knows."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def connection(url: str) -> Finding:
    """Try to reach an address, and return what came of connecting."""
    return (await in_order(reach("API", url, "API_BASE_URL")))[-1]


async def test_a_certificate_of_an_unknown_authority_is_named(tls_port: int) -> None:
    """With the variable that names another authority."""
    found = await connection(f"https://127.0.0.1:{tls_port}")
    assert "is refused: self" in found.verdict.reason
    assert "SSL_CERT_FILE" in found.verdict.hint


async def test_a_certificate_that_expires_soon_is_named(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trusted, but not for long."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    found = await connection(f"https://127.0.0.1:{tls_port}")
    assert "expires in 1.0 days" in found.verdict.reason


async def test_an_address_that_speaks_no_tls_is_named(plain_port: int) -> None:
    """The scheme or the port may be wrong."""
    found = await connection(f"wss://127.0.0.1:{plain_port}")
    assert f"127.0.0.1:{plain_port} does not support TLS" in found.verdict.reason
    assert "check API_BASE_URL" in found.verdict.hint

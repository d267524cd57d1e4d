"""HTTP/2 with an API that offers it."""

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loqua_host.contract.records import Performance, SessionRecord
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi

CALLER = Caller("user-1", "room-1", "agent-1")
RECORD = SessionRecord(session_id="s-1", duration_minutes=5, overall_performance=Performance.GOOD)


class Http2(asyncio.Protocol):
    """A server that answers every request of one HTTP/2 connection, or waits on request."""

    connections = 0
    requests = 0
    waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak HTTP/2."""
        assert isinstance(transport, asyncio.Transport)
        Http2.connections += 1
        self.transport = transport
        config = h2.config.H2Configuration(client_side=False)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.transport.write(self.connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Take requests, and answer each at its end."""
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                Http2.requests += 1
                if not Http2.waiting:
                    self.answer(event.stream_id)
        self.transport.write(self.connection.data_to_send())

    def answer(self, stream: int) -> None:
        """Answer one request."""
        body = json.dumps({"success": True}).encode()
        self.connection.send_headers(stream, [(":status", "200")])
        self.connection.send_data(stream, body, end_stream=True)
        self.transport.write(self.connection.data_to_send())


@pytest.fixture
async def https_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Serve HTTP/2 over TLS with a certificate that this process trusts."""
    certificate, key = certify(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Http2, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def certify(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(local, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


async def test_all_lessons_share_one_connection(
    https_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty at once go over one HTTP/2 connection; that others were cancelled costs a new one."""
    settings = CoreSettings.model_validate(
        {
            "api_base_url": f"https://127.0.0.1:{https_port}",
            "access": {"sessions": "service"},
            "rate_limit": 10_000,
        }
    )
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": "agent", "SHARED_SECRET": "secret"})
    before, asked = Http2.connections, Http2.requests + 1
    async with LoquaApi.open(settings, secrets) as api:
        await api.create_session(CALLER, RECORD, key="first")
        monkeypatch.setattr(Http2, "waiting", True)
        leaving = [
            asyncio.create_task(api.create_session(CALLER, RECORD, key=f"leaving-{number}"))
            for number in range(20)
        ]
        async with asyncio.timeout(30):
            while Http2.requests - asked < 20:  # noqa: ASYNC110  # a protocol tells nobody
                await asyncio.sleep(0.01)
        for call in leaving:
            call.cancel()
        await asyncio.wait(leaving)
        monkeypatch.setattr(Http2, "waiting", False)
        assert Http2.connections - before == 1
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(api.create_session(CALLER, RECORD, key=f"{number}") for number in range(40))
            )
    assert Http2.connections - before == 2

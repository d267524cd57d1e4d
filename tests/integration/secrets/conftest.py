"""Each source of secrets, as real as possible offline."""

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import subprocess
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
import hvac
import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.server import ThreadedMotoServer

from loqua_host.core.secrets import SecretsSettings, SecretsSource, open_source
from loqua_host.core.secrets.azure import AzureSecrets
from loqua_host.core.secrets.settings import AzureSettings


class Place(Protocol):
    """A source of secrets that a test writes and the host reads."""

    source: SecretsSource

    def put(self, variable: str, value: str) -> None:
        """Store a new value of the secret."""

    def stop(self) -> None:
        """Stop answering from now on."""


@dataclass
class Files:
    """A directory of mounted secrets."""

    directory: Path

    def __post_init__(self) -> None:
        """Open it as config does."""
        section = {"from": "files", "files": {"directory": self.directory}}
        self.source = open_source(SecretsSettings.model_validate(section), {})

    def put(self, variable: str, value: str) -> None:
        """Write the file anew, the old value beside it, as a rotation does."""
        file = self.directory / variable
        if file.exists():
            file.with_name(f"{variable}_PREVIOUS").write_text(file.read_text())
        new = self.directory / ".new"
        new.write_text(value)
        new.replace(file)

    def stop(self) -> None:
        """Take the mount away."""
        self.directory.rename(self.directory.with_name("unmounted"))


class Aws:
    """AWS Secrets Manager, emulated by moto's server."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        section = {"region": "eu-central-1", "prefix": "loqua/", "endpoint": endpoint}
        settings = SecretsSettings.model_validate({"from": "aws", "aws": section})
        self.keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self.source = open_source(settings, self.keys)
        self._client = boto3.client(
            "secretsmanager",
            "eu-central-1",
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def put(self, variable: str, value: str) -> None:
        """Create the secret, or give it a new version."""
        name = f"loqua/{variable}"
        try:
            self._client.put_secret_value(SecretId=name, SecretString=value)
        except self._client.exceptions.ResourceNotFoundException:
            self._client.create_secret(Name=name, SecretString=value)

    def stop(self) -> None:
        """Stop the server."""
        self._server.stop()


class Bao:
    """OpenBao, in memory; HashiCorp's Vault has the same API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        binary = Path(sysconfig.get_path("scripts"), "bao")
        options = ["-dev", "-dev-root-token-id=root", "-dev-no-store-token"]
        self._process = subprocess.Popen(  # noqa: S603  # our own
            [binary, "server", *options, f"-dev-listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.root = hvac.Client(self.url, token="root", timeout=5)
        self._wait()
        token = self.root.auth.token.create(ttl="1h")["auth"]["client_token"]
        self.source = self.open(token)

    def open(self, token: str) -> SecretsSource:
        """Open it as config does."""
        section = {"from": "vault", "vault": {"url": self.url}}
        return open_source(SecretsSettings.model_validate(section), {"VAULT_TOKEN": token})

    def _wait(self) -> None:
        for _ in range(600):
            try:
                self.root.secrets.kv.v2.read_configuration()
            except Exception:  # noqa: BLE001  # refused, sealed, not mounted: all mean not yet
                time.sleep(0.1)
            else:
                return
        raise AssertionError("bao did not start")

    def put(self, variable: str, value: str) -> None:
        """Store a new value of the secret."""
        self.root.secrets.kv.v2.create_or_update_secret(f"loqua/{variable}", {"value": value})

    def stop(self) -> None:
        """Stop the server."""
        self._process.kill()
        self._process.wait()


@dataclass
class KeyVault:
    """The part of Azure Key Vault's REST API that the host reads: secrets by name and version."""

    secrets: dict[str, list[str]] = field(default_factory=dict)

    async def get(self, request: web.Request) -> web.Response:
        """Return a version of a secret, the newest one unless it is named."""
        versions = self._versions(request)
        number = int(request.match_info.get("version") or len(versions))
        return web.json_response(self._version(request, number) | {"value": versions[number - 1]})

    async def versions(self, request: web.Request) -> web.Response:
        """List a secret's versions."""
        count = len(self._versions(request))
        listed = [self._version(request, number) for number in range(1, count + 1)]
        return web.json_response({"value": listed, "nextLink": None})

    def _versions(self, request: web.Request) -> list[str]:
        if request.headers.get("Authorization") != "Bearer a-token":
            challenge = 'Bearer authorization="https://login.test/t", resource="https://v.test"'
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": challenge})
        if not (versions := self.secrets.get(request.match_info["name"])):
            error = {"error": {"code": "SecretNotFound", "message": "no such secret"}}
            raise web.HTTPNotFound(text=json.dumps(error), content_type="application/json")
        return versions

    @staticmethod
    def _version(request: web.Request, number: int) -> dict[str, Any]:
        name = request.match_info["name"]
        dates = {"created": number, "updated": number, "enabled": True}
        return {"id": f"https://{request.host}/secrets/{name}/{number}", "attributes": dates}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[tuple[str, Path]]:
        """Serve it over TLS, as Azure's client demands; return its address and certificate."""
        app = web.Application()
        app.router.add_get("/secrets/{name}/versions", self.versions)
        app.router.add_get("/secrets/{name}/{version:[^/]*}", self.get)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        file, context = certificate(directory)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield f"https://127.0.0.1:{runner.addresses[0][1]}", file
        finally:
            await runner.cleanup()


class StaticCredential:
    """A credential with a fixed token."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return the token."""
        return AccessToken("a-token", int(time.time()) + 3600)


class Azure:
    """The fake of Azure's REST API, in a loop and thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._vault = KeyVault()
        self._stack = ExitStack()
        url, certificate = self._stack.enter_context(_in_thread(self._vault, directory))
        self.source = AzureSecrets(
            AzureSettings.model_validate({"url": url}),
            StaticCredential(),
            verify_challenge_resource=False,
            connection_verify=str(certificate),
        )

    def put(self, variable: str, value: str) -> None:
        """Store a new value of the secret."""
        self._vault.secrets.setdefault(variable.replace("_", "-"), []).append(value)

    def stop(self) -> None:
        """Stop the server."""
        self._stack.close()


@contextmanager
def _in_thread(vault: KeyVault, directory: Path) -> Iterator[tuple[str, Path]]:
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        stack.callback(loop.close)
        serving = vault.serve(directory)
        address = loop.run_until_complete(serving.__aenter__())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield address
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(serving.__aexit__(None, None, None))


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of 127.0.0.1; return its file, and what serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    keys = directory / "key.pem"
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    keys.write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, keys)
    return file, context


@pytest.fixture
def bao(unused_tcp_port: int) -> Iterator[Bao]:
    """Run OpenBao for one test."""
    bao = Bao(unused_tcp_port)
    yield bao
    bao.stop()


@pytest.fixture(params=["files", "aws", "azure", "vault"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Yield each place in turn."""
    if request.param == "vault":
        yield request.getfixturevalue("bao")
        return
    directory = tmp_path / "secrets"
    directory.mkdir()
    place = {"files": lambda: Files(directory), "aws": Aws, "azure": lambda: Azure(directory)}
    opened: Files | Aws | Azure = place[request.param]()  # type: ignore[operator]
    yield opened
    if directory.exists():
        opened.stop()

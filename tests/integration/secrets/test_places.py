"""Every source of secrets: the current and the previous value, and outages."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from tests.integration.secrets.conftest import Bao, Place, certificate

from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import Secret
from loqua_host.core.secrets.settings import VaultSettings
from loqua_host.core.secrets.vault import VaultSecrets
from loqua_host.errors import SecretsError


def values(secret: Secret | None) -> list[str] | None:
    """Return a secret's values, newest first."""
    return secret and [value.get_secret_value() for value in secret.values()]


def test_a_secret_its_rotation_and_an_outage(place: Place) -> None:
    """No message holds a value."""
    assert place.source.fetch("SHARED_SECRET") is None
    place.put("SHARED_SECRET", "value-one")
    assert values(place.source.fetch("SHARED_SECRET")) == ["value-one"]
    place.put("SHARED_SECRET", "value-two")
    assert values(place.source.fetch("SHARED_SECRET")) == ["value-two", "value-one"]
    place.put("SHARED_SECRET", "value-three")
    assert values(place.source.fetch("SHARED_SECRET")) == ["value-three", "value-two"]
    place.stop()
    with pytest.raises(SecretsError) as raised:
        place.source.fetch("SHARED_SECRET")
    assert "value-" not in str(raised.value)
    assert place.source.place in str(raised.value)


HOUR = 3600.0


@dataclass
class Later(SystemClock):
    """A clock that a test sets."""

    at: float = 0

    def monotonic(self) -> float:
        """Return what the test has set."""
        return self.at


def test_a_vaults_token_is_renewed_before_it_ends(bao: Bao) -> None:
    """At half of its life, by whatever reads a secret then."""
    bao.put("SHARED_SECRET", "one")
    token = bao.root.auth.token.create(ttl="1h", renewable=True)["auth"]["client_token"]
    clock = Later()
    settings = VaultSettings.model_validate({"url": bao.url})
    source = VaultSecrets(settings, [SecretStr(token)], clock)
    for clock.at, renewed in ((0, False), (0.4 * HOUR, False), (0.5 * HOUR, True)):
        assert values(source.fetch("SHARED_SECRET")) == ["one"]
        assert bool(bao.root.auth.token.lookup(token)["data"].get("last_renewal")) is renewed


class Page(BaseHTTPRequestHandler):
    """A server that answers every request with a page, as a proxy may."""

    def do_GET(self) -> None:
        """Answer with the page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_what_is_no_vault_is_a_vault_out_of_reach() -> None:
    """The host goes on with what it has."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        settings = VaultSettings.model_validate({"url": url})
        source = VaultSecrets(settings, [SecretStr("token")], SystemClock())
        with pytest.raises(SecretsError, match="is no vault's answer"):
            source.fetch("SHARED_SECRET")
        server.shutdown()


def test_a_vault_that_refuses_is_out_of_reach(bao: Bao) -> None:
    """The token shows in no message."""
    source = bao.open("not-a-token")
    with pytest.raises(SecretsError, match="permission denied") as raised:
        source.fetch("SHARED_SECRET")
    assert "not-a-token" not in str(raised.value)


POLICY = 'path "secret/data/loqua/*" { capabilities = ["read"] }'


def test_a_login_by_approle_outlives_every_token(bao: Bao) -> None:
    """Each is replaced at half of its life, and one that was revoked at the next look-up."""
    bao.put("SHARED_SECRET", "one")
    bao.root.sys.create_or_update_policy("loqua", POLICY)
    bao.root.sys.enable_auth_method("approle")
    role = bao.root.auth.approle
    role.create_or_update_approle("loqua", token_policies=["loqua"], token_max_ttl="1h")
    credentials = [
        SecretStr(role.read_role_id("loqua")["data"]["role_id"]),
        SecretStr(role.generate_secret_id("loqua")["data"]["secret_id"]),
    ]
    settings = VaultSettings.model_validate({"url": bao.url, "login": "approle"})
    clock = Later()
    source = VaultSecrets(settings, credentials, clock)
    tokens = []
    for clock.at in (0, 0.4 * HOUR, 0.5 * HOUR, 0.9 * HOUR, HOUR):
        assert values(source.fetch("SHARED_SECRET")) == ["one"]
        tokens.append(source._client.token)
    first, second, third = dict.fromkeys(tokens)
    assert tokens == [first, first, second, second, third]
    bao.root.auth.token.revoke(third)
    with pytest.raises(SecretsError, match="permission denied"):
        source.fetch("SHARED_SECRET")
    assert values(source.fetch("SHARED_SECRET")) == ["one"]


class Kubernetes(BaseHTTPRequestHandler):
    """Kubernetes's TokenReview: it knows the token of one service account."""

    def do_POST(self) -> None:
        """Review a token."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = {"username": "system:serviceaccount:tutors:loqua-host", "uid": "1"}
        known = asked["spec"]["token"] == SERVICE_ACCOUNT
        status = {"authenticated": True, "user": user} if known else {"authenticated": False}
        body = json.dumps({**asked, "status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


NAMES = {"namespace": "tutors", "serviceaccount": {"name": "loqua-host", "uid": "1"}}
CLAIMS = {"sub": "system:serviceaccount:tutors:loqua-host", "kubernetes.io": NAMES}
SERVICE_ACCOUNT = jwt.encode(CLAIMS, ec.generate_private_key(ec.SECP256R1()), "ES256")


def test_a_login_by_kubernetes_takes_the_service_accounts_token(bao: Bao, tmp_path: Path) -> None:
    """It is read at each login: Kubernetes replaces the file every hour."""
    file = tmp_path / "token"
    file.write_text("an older one")
    bao.put("SHARED_SECRET", "one")
    bao.root.sys.create_or_update_policy("loqua", POLICY)
    bao.root.sys.enable_auth_method("kubernetes")
    with HTTPServer(("127.0.0.1", 0), Kubernetes) as cluster:
        threading.Thread(target=cluster.serve_forever, daemon=True).start()
        auth = bao.root.auth.kubernetes
        authority, _ = certificate(tmp_path)
        auth.configure(
            f"http://127.0.0.1:{cluster.server_port}",
            kubernetes_ca_cert=authority.read_text(),
            disable_local_ca_jwt=True,
        )
        accounts = {
            "bound_service_account_names": ["loqua-host"],
            "bound_service_account_namespaces": ["tutors"],
        }
        auth.create_role("loqua", policies=["loqua"], **accounts)
        section = {"login": "kubernetes", "role": "loqua", "service_account": file}
        settings = VaultSettings.model_validate({"url": bao.url, **section})
        source = VaultSecrets(settings, [], SystemClock())
        with pytest.raises(SecretsError):
            source.fetch("SHARED_SECRET")
        file.write_text(SERVICE_ACCOUNT)
        assert values(source.fetch("SHARED_SECRET")) == ["one"]
        cluster.shutdown()

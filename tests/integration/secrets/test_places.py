"""Every place gives a secret and the one before, and is told apart from being out of reach."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr
from tests.integration.secrets.conftest import Bao, Place

from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import Secret
from loqua_host.core.secrets.settings import VaultPlace
from loqua_host.core.secrets.vault import VaultSecrets
from loqua_host.errors import SecretsError

pytestmark = pytest.mark.integration


def values(secret: Secret | None) -> list[str] | None:
    """Give a secret's values, newest first."""
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
    with pytest.raises(SecretsError) as told:
        place.source.fetch("SHARED_SECRET")
    assert "value-" not in str(told.value)
    assert place.source.place in str(told.value)


@dataclass
class Later(SystemClock):
    """A clock that a test sets."""

    at: float = 0

    def monotonic(self) -> float:
        """Give what the test has set."""
        return self.at


def test_a_vaults_token_is_renewed_before_it_ends(bao: Bao) -> None:
    """At half of its life, by whatever reads a secret then."""
    bao.put("SHARED_SECRET", "one")
    short = bao.root.auth.token.create(ttl="2s", renewable=True)["auth"]["client_token"]
    clock = Later()
    settings = VaultPlace.model_validate({"url": bao.url})
    source = VaultSecrets(settings, SecretStr(short), clock)
    for second in range(4):
        clock.at = second
        assert values(source.fetch("SHARED_SECRET")) == ["one"]
        threading.Event().wait(1)


class Page(BaseHTTPRequestHandler):
    """Answers everything with a page, as a proxy may."""

    def do_GET(self) -> None:
        """Give the page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_is_no_vault_is_a_vault_out_of_reach() -> None:
    """The host goes on with what it has."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        settings = VaultPlace.model_validate({"url": url})
        source = VaultSecrets(settings, SecretStr("token"), SystemClock())
        with pytest.raises(SecretsError, match="is no vault's answer"):
            source.fetch("SHARED_SECRET")
        server.shutdown()


def test_a_vault_that_refuses_is_out_of_reach(bao: Bao) -> None:
    """The token shows in no message."""
    source = bao.open("not-a-token")
    with pytest.raises(SecretsError, match="permission denied") as told:
        source.fetch("SHARED_SECRET")
    assert "not-a-token" not in str(told.value)

"""Proxy and certificate variables: honoured by all clients, or refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import issue

from loqua_host.settings.load import draft
from loqua_host.system.environment import safe_environ
from loqua_host.system.proxies import bypass_native, proxy_for, proxy_variables

Mistakes = Callable[..., list[str]]

PROXY = "http://proxy:3128"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes this process's environment that of a host started with some variables."""

    def become(**given: str) -> None:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        for name, value in proxy_variables(given).items():
            monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ({}, {"https": None, "wss": None, "http": None, "ws": None}),
        ({"HTTPS_PROXY": PROXY}, {"https": PROXY, "wss": PROXY, "http": None, "ws": None}),
        ({"https_proxy": PROXY}, {"https": PROXY, "wss": PROXY, "http": None, "ws": None}),
        ({"HTTP_PROXY": PROXY}, {"https": None, "wss": None, "http": PROXY, "ws": PROXY}),
        ({"ALL_PROXY": PROXY}, {"https": PROXY, "wss": PROXY, "http": PROXY, "ws": PROXY}),
        (
            {"all_proxy": "http://other:1", "HTTP_PROXY": PROXY},
            {"https": "http://other:1", "wss": "http://other:1", "http": PROXY, "ws": PROXY},
        ),
    ],
)
def test_each_scheme_has_its_proxy_in_whatever_spelling(
    environment: Callable[..., None], given: dict[str, str], reached: dict[str, str | None]
) -> None:
    """Websockets go as HTTP does."""
    environment(**given)
    assert {scheme: proxy_for(f"{scheme}://api.loqua.app") for scheme in reached} == reached


@pytest.mark.parametrize(
    ("excluded", "url"),
    [
        ("127.0.0.1,localhost", "http://127.0.0.1:9000"),
        ("127.0.0.1, localhost", "ws://localhost:7880"),
        ("::1", "ws://[::1]:7880"),
        ("loqua.app", "wss://livekit.loqua.app"),
        (".loqua.app", "https://api.loqua.app"),
        ("*", "https://anywhere"),
    ],
)
@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_names_is_reached_directly(
    environment: Callable[..., None], spelling: str, excluded: str, url: str
) -> None:
    """And nothing else is."""
    environment(ALL_PROXY=PROXY, **{spelling: excluded})
    assert proxy_for(url) is None
    if excluded != "*":
        assert proxy_for("https://elsewhere.example") == PROXY


def test_host_and_jobs_keep_the_same_variables() -> None:
    """The host executes itself again with them, and its jobs come from it; once more is no more."""
    given = {"https_proxy": PROXY, "NO_PROXY": "livekit", "SECRET": "hunter2"}
    safe = safe_environ(given | {"SSL_CERT_FILE": "/ca.pem"})
    assert {safe[name] for name in ("HTTPS_PROXY", "https_proxy", "WSS_PROXY")} == {PROXY}
    assert (safe["NO_PROXY"], safe["no_proxy"]) == ("livekit", "livekit")
    assert safe["SSL_CERT_FILE"] == safe["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert safe["NETRC"] == os.devnull
    assert "SECRET" not in safe
    assert safe_environ(safe) == safe


def test_livekits_native_client_sees_no_proxy_where_none_is_meant(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know NO_PROXY; Python's clients still see theirs."""
    hidden: list[str] = []
    monkeypatch.setattr(os, "unsetenv", hidden.append)
    environment(HTTPS_PROXY=PROXY, NO_PROXY="livekit.internal")
    bypass_native("wss://livekit.loqua.app")
    assert hidden == []
    bypass_native("wss://livekit.internal")
    assert {"HTTPS_PROXY", "https_proxy"} <= {*hidden}
    assert os.environ["HTTPS_PROXY"] == PROXY


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"HTTPS_PROXY": "http://user:hunter2@proxy:3128"}, "HTTPS_PROXY: contains a password"),
        ({"https_proxy": "http://user:hunter2@proxy:3128"}, "https_proxy: contains a password"),
        ({"ALL_PROXY": "socks5://proxy:1080"}, "ALL_PROXY: is a SOCKS proxy"),
        ({"all_proxy": "SOCKS5h://proxy:1080"}, "all_proxy: is a SOCKS proxy"),
        ({"HTTP_PROXY": "proxy:3128"}, "HTTP_PROXY: does not begin with http://"),
        ({"HTTP_PROXY": "https://proxy:3128"}, "HTTP_PROXY: does not begin with http://"),
        ({"HTTP_PROXY": "http://proxy:3128/pac"}, "HTTP_PROXY: has a path"),
        ({"HTTP_PROXY": "http://proxy:99999"}, "HTTP_PROXY: has a port"),
        ({"HTTP_PROXY": PROXY, "http_proxy": "http://other:1"}, "HTTP_PROXY: differs from"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "NO_PROXY: differs from"),
    ],
)
def test_a_proxy_that_not_all_could_use_is_refused_by_name(
    mistakes: Mistakes, given: dict[str, str], message: str
) -> None:
    """Never with its password."""
    [problem] = mistakes(**given)
    assert problem.startswith(message)
    assert "hunter2" not in problem


def test_a_sound_proxy_is_taken(mistakes: Mistakes) -> None:
    """With a slash at its end as well, and in both spellings alike."""
    assert mistakes(HTTPS_PROXY=f"{PROXY}/", NO_PROXY="127.0.0.1") == []
    assert mistakes(HTTPS_PROXY=PROXY, https_proxy=PROXY) == []


def test_a_range_in_no_proxy_is_warned_of(config: Path, environ: dict[str, str]) -> None:
    """Kubernetes platforms write ranges, which most clients do not support."""
    drafted = draft(config, environ | {"NO_PROXY": "localhost,10.0.0.0/8"})
    assert (drafted.problems, [one.where for one in drafted.advice]) == ((), ["NO_PROXY"])


def test_certificates_that_cannot_be_read_are_refused_by_name(
    mistakes: Mistakes, tmp_path: Path
) -> None:
    """In one line, before anybody connects."""
    (tmp_path / "empty").touch()
    (tmp_path / "nonsense").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    for name in ("missing", "empty", "nonsense", "."):
        [problem] = mistakes(SSL_CERT_FILE=str(tmp_path / name))
        assert problem.startswith("SSL_CERT_FILE: ")
    for name in ("missing", "empty"):
        [problem] = mistakes(SSL_CERT_DIR=str(tmp_path / name))
        assert problem.startswith("SSL_CERT_DIR: ")
    [problem] = mistakes(SSL_CERT_FILE="a\0b")
    assert problem.startswith("SSL_CERT_FILE: ")


def test_certificates_that_can_be_read_are_taken(mistakes: Mistakes, tmp_path: Path) -> None:
    """A file, or directories."""
    authority = issue(tmp_path)["certificate"]
    given = f"{tmp_path}{os.pathsep}{tmp_path.parent}"
    assert mistakes(SSL_CERT_FILE=authority, SSL_CERT_DIR=given) == []


def test_staging_warns_of_what_production_refuses(config: Path, environ: dict[str, str]) -> None:
    """It still starts."""
    given = {
        **environ,
        "API_BASE_URL": "http://api.loqua.app",
        "LIVEKIT_URL": "WS://livekit.loqua.app",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }
    open_to_all = {"LIVEKIT_URL", "API_BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    staging = draft(config, given | {"LOQUA_ENVIRONMENT": "staging"})
    production = draft(config, given | {"LOQUA_ENVIRONMENT": "production"})
    assert (staging.problems, {one.where for one in staging.advice}) == ((), open_to_all)
    assert ({one.where for one in production.problems}, production.advice) == (open_to_all, ())
    assert draft(config, given).advice == ()

"""Addresses in settings: parsed, or refused by name if clients would misread them."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from loqua_host.errors import ConfigError
from loqua_host.settings.load import load_settings
from loqua_host.system.addresses import WEB, WEBSOCKET, normalise

Mistakes = Callable[..., list[str]]
Write = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("WSS://LiveKit.Loqua.App/", "wss://livekit.loqua.app"),
        ("wss://livekit.loqua.app:443", "wss://livekit.loqua.app"),
        ("ws://[::1]:7880", "ws://[::1]:7880"),
        ("ws://[0:0::1]", "ws://[::1]"),
        ("wss://gateway/livekit/", "wss://gateway/livekit"),
        ("wss://münchen.example:7880", "wss://xn--mnchen-3ya.example:7880"),
        ("wss://my_livekit.internal", "wss://my_livekit.internal"),
        ("ws://10.0.0.7:65535", "ws://10.0.0.7:65535"),
    ],
)
def test_a_sound_address_is_taken_in_one_spelling(written: str, normalised: str) -> None:
    """Operators may write it in several ways."""
    assert normalise(written, WEBSOCKET) == normalised
    assert normalise(normalised, WEBSOCKET) == normalised


WRONG = {
    "a user": "wss://maria:hunter2@livekit",
    "an empty user": "wss://@livekit",
    "a query": "wss://livekit?token=hunter2",
    "an empty query": "wss://livekit/?",
    "a fragment": "wss://livekit#hunter2",
    "a line break": "wss://livekit\n",
    "a line break inside": "wss://live\nkit",
    "a space": " wss://livekit",
    "a tab": "wss://livekit\t/path",
    "a null": "wss://livekit\0",
    "a mark of the byte order": "\ufeffwss://livekit",
    "a backslash": "wss://livekit\\@127.0.0.1",
    "no host": "wss://",
    "a port alone": "wss://:7880",
    "a port too high": "wss://livekit:65536",
    "a port of zero": "wss://livekit:0",
    "an empty port": "wss://livekit:",
    "a port in words": "wss://livekit:http",
    "a negative port": "wss://livekit:-1",
    "another scheme": "https://livekit",
    "no scheme": "livekit:7880",
    "one slash": "wss:/livekit",
    "an open bracket": "ws://[::1",
    "a zone": "ws://[fe80::1%25eth0]",
    "no IPv6": "ws://[1.2.3]",
    "no IPv4": "ws://256.1.1.1",
    "an octal IPv4": "ws://0177.0.0.1",
    "an empty label": "wss://live..kit",
    "a long label": f"wss://{'x' * 64}",
    "a long name": f"wss://{'x.' * 130}app",
    "a percent": "wss://live%2fkit",
    "a comma": "wss://one,two",
    "nothing": "",
}


@pytest.mark.parametrize("written", WRONG.values(), ids=WRONG)
def test_another_is_refused_with_what_to_write(mistakes: Mistakes, written: str) -> None:
    """By the variable's name, and without the address: it may have a password in it."""
    with pytest.raises(ValueError, match=r"^(has|does)") as refused:
        normalise(written, WEBSOCKET)
    assert "hunter2" not in str(refused.value)
    if written:
        [mistake] = mistakes(LIVEKIT_URL=written)
        assert mistake.startswith("LIVEKIT_URL: ")
        assert "such as wss://livekit.loqua.app" in mistake
        assert "hunter2" not in mistake
        web = written.replace("ws", "http", 1) if written.startswith("ws") else written
        assert len(mistakes(API_BASE_URL="ftp://api" if web == "https://livekit" else web)) == 1


def test_what_else_is_reached_over_http_is_parsed_as_well(
    config: Path, environ: dict[str, str], write: Write, mistakes: Mistakes
) -> None:
    """The places of secrets, and the collector of traces."""
    vault = "secrets: {from: vault, vault: {url: 'https://user:hunter2@vault'}}"
    write("host.yaml", vault)
    [mistake] = mistakes()
    assert "secrets.vault.url" in mistake
    assert "hunter2" not in mistake
    write("host.yaml", vault.replace("user:hunter2@vault", "VAULT:8200/v"))
    settings = load_settings(config, environ)
    assert settings.secrets.vault is not None
    assert str(settings.secrets.vault.url) == "https://vault:8200/v"
    [mistake] = mistakes(OTEL_EXPORTER_OTLP_ENDPOINT="https://collector?key=hunter2")
    assert mistake.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: has a query")


async def test_an_api_behind_a_path_keeps_it(config: Path, environ: dict[str, str]) -> None:
    """A gateway's address may have one."""
    settings = load_settings(config, environ | {"API_BASE_URL": "https://gateway/loqua/"})
    async with httpx.AsyncClient(base_url=str(settings.api.api_base_url)) as http:
        request = http.build_request("GET", "/users/maria/context")
    assert str(request.url) == "https://gateway/loqua/users/maria/context"


URLS = st.one_of(
    st.text(),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["ws", "wss", "WS", "http"]),
        st.text(max_size=20),
        st.sampled_from(["", ":80", ":0", ":99999", ":"]),
        st.sampled_from(["", "/", "/a/b", "?", "#x"]),
    ),
)


@given(URLS)
def test_what_is_taken_means_the_same_to_every_client(written: str) -> None:
    """Fuzzed: httpx, aiohttp and Python find the same host, port and path in it."""
    try:
        address = normalise(written, (*WEB, *WEBSOCKET))
    except ValueError:
        return
    ours, theirs, others = urlsplit(address), httpx.URL(address), URL(address)
    assert ours.hostname == theirs.raw_host.decode() == others.raw_host
    assert (ours.port or others.port) == others.port
    assert (ours.username, others.user, theirs.userinfo) == (None, None, b"")
    assert normalise(address, (ours.scheme,)) == address


def test_dotenv_may_not_say_what_counts_in_the_environment_alone(
    config: Path, environ: dict[str, str]
) -> None:
    """It would be dropped without a word: which environment this is, proxies, whom to trust."""
    dotenv = config.parent / ".env"
    dotenv.write_text("LOQUA_ENVIRONMENT=staging\nhttps_proxy=http://proxy:1\nAGENT_ID=it\n")
    with pytest.raises(ConfigError) as refused:
        load_settings(config, environ)
    assert [problem.where for problem in refused.value.problems] == [
        f"{dotenv}: LOQUA_ENVIRONMENT",
        f"{dotenv}: https_proxy",
    ]
    dotenv.write_text("LIVEKIT_AGENT_NAME=mine\n")
    with pytest.raises(ConfigError, match="LIVEKIT_AGENT_NAME"):
        load_settings(config, environ)

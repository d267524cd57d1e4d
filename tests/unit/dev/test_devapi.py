"""`loqua-host devapi`: its output, which satisfies `loqua-host check`."""

import shutil
import socket
from pathlib import Path

from loqua_host.dev.api.server import listen
from loqua_host.dev.api.settings import DevApiSettings
from loqua_host.dev.devapi import host_variables
from loqua_host.settings.load import draft
from loqua_host.settings.secrets import HOST_SECRETS
from loqua_host.settings.templates import TEMPLATES


def test_a_host_starts_with_the_variables_that_it_prints(tmp_path: Path) -> None:
    """And the configuration that `init` writes."""
    settings = DevApiSettings(
        shared_secret="s" * 32,
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret="secret",
    )
    environ = host_variables(settings, "http://127.0.0.1:8080")
    shutil.copytree(TEMPLATES, tmp_path / "config")
    drafted = draft(tmp_path / "config", environ)
    assert drafted.settings
    assert drafted.problems == ()
    needed = {"AGENT_JWT_TOKEN", "SHARED_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"}
    assert needed <= set(HOST_SECRETS) & set(environ)


def test_no_answer_waits_for_an_acknowledgement() -> None:
    """Connections inherit it; without it, each answer with a body takes 40 ms more."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

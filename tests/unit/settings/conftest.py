"""A configuration in a directory of its own, to write mistakes into."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from loqua_host.errors import ConfigError
from loqua_host.settings import load
from loqua_host.settings.load import load_settings

Write = Callable[[str, str], Path]
Mistakes = Callable[..., list[str]]

ENVIRON = {
    "AGENT_ID": "loqua-host-1",
    "API_BASE_URL": "http://127.0.0.1:9000",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
}


installed_plugins = cache(load.installed_plugins)


@pytest.fixture(autouse=True)
def installed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for plugins once: to read all distributions again is half of the work of a load."""
    monkeypatch.setattr(load, "installed_plugins", installed_plugins)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the smallest configuration: one automatic tutor."""
    directory = tmp_path / "config"
    (directory / "tutors").mkdir(parents=True)
    (directory / "environments").mkdir()
    (directory / "host.yaml").write_text("", "utf-8")
    (directory / "tutors/conversation.yaml").write_text("worker_type: automatic\n", "utf-8")
    return directory


@pytest.fixture
def environ() -> dict[str, str]:
    """Return the addresses and the identity of a host in development."""
    return dict(ENVIRON)


@pytest.fixture
def write(config: Path) -> Write:
    """Write a file of the configuration."""

    def write_file(name: str, text: str) -> Path:
        file = config / name
        file.write_text(text, "utf-8")
        return file

    return write_file


@pytest.fixture
def mistakes(config: Path) -> Mistakes:
    """Load, and give each problem as a line that starts inside the configuration."""

    def list_mistakes(**environ: str) -> list[str]:
        try:
            load_settings(config, ENVIRON | environ)
        except ConfigError as error:
            return [str(problem).replace(f"{config}/", "") for problem in error.problems]
        return []

    return list_mistakes

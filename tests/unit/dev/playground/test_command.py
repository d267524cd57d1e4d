"""`loqua-host playground`: for development, and refused elsewhere."""

import shutil
from pathlib import Path

import pytest

from loqua_host.dev.playground.command import offer, run_playground
from loqua_host.dev.playground.server import OfferedTutor
from loqua_host.errors import LoquaError
from loqua_host.settings.load import load_settings
from loqua_host.settings.templates import TEMPLATES

ENVIRON = {
    "AGENT_ID": "loqua-host",
    "API_BASE_URL": "https://api.example.com",
    "LIVEKIT_URL": "wss://livekit.example.com",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a copy of the packaged config/."""
    return Path(shutil.copytree(TEMPLATES, tmp_path / "config"))


@pytest.mark.parametrize("environment", ["production", "staging"])
async def test_it_is_served_in_development_only(config: Path, environment: str) -> None:
    """The message says why."""
    environ = {**ENVIRON, "LOQUA_ENVIRONMENT": environment}
    with pytest.raises(LoquaError, match=f"LOQUA_ENVIRONMENT is {environment}"):
        await run_playground(config, environ, 0, print)


async def test_the_automatic_tutor_is_offered_first(config: Path) -> None:
    """With it, a person needs to choose nothing."""
    environ = {**ENVIRON, "LOQUA_ENVIRONMENT": "development"}
    tutors = offer(load_settings(config, environ).enabled_tutors)
    assert tutors[0] == OfferedTutor("conversation", "")
    assert {one.agent_name for one in tutors} >= {"grammar-specialist", "pronunciation-specialist"}

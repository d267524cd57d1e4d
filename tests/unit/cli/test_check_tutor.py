"""`loqua-host check --tutor`: what an author reads."""

import subprocess
import sys
from pathlib import Path

import pytest

AGENT = """
import time

from livekit.agents import Agent


class Mine(Agent):
    def __init__(self):
        super().__init__(instructions="", llm=None)

    async def on_enter(self):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "status", "printed"),
    [
        ("time.sleep(0.5)", 1, "\nmy_agent.py:12\n  Mine.on_enter blocks the event loop, for 0."),
        ("pass", 0, "nothing found; a lesson with it was taught to its record"),
    ],
    ids=["blocking", "sound"],
)
def test_an_agent_is_checked_where_it_is_written(
    tmp_path: Path, body: str, status: int, printed: str
) -> None:
    """Without a configuration, a server or a secret."""
    (tmp_path / "my_agent.py").write_text(AGENT.format(body=body), "utf-8")
    command = (sys.executable, "-m", "loqua_host", "check", "--tutor", "my_agent:Mine")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  # Python itself
    assert done.returncode == status, done.stderr
    assert printed in done.stdout + done.stderr


def test_an_override_that_livekit_calls_by_other_names_is_reported(tmp_path: Path) -> None:
    """With its place and what to write."""
    override = "pass\n\n    async def llm_node(self, ctx, tools, settings):\n        pass"
    (tmp_path / "my_agent.py").write_text(AGENT.format(body=override), "utf-8")
    command = (sys.executable, "-m", "loqua_host", "check", "--tutor", "my_agent:Mine")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  # Python itself
    assert done.returncode == 1
    assert "Mine.llm_node (my_agent.py:14): LiveKit passes 'chat_ctx'" in done.stderr
    assert "write def llm_node(self, chat_ctx, tools, model_settings)" in done.stderr


def test_a_plugin_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    """With those that are."""
    command = (sys.executable, "-m", "loqua_host", "check", "--tutor", "latin")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  # Python itself
    assert done.returncode == 1
    assert "the plugin 'latin' is not installed" in done.stderr

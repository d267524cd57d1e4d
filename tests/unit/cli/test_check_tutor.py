"""`loqua-host check --tutor`: its output for an author."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.cli import check_tutor as module
from loqua_host.cli.check_tutor import check_tutor

AGENT = """
import time

from livekit.agents import Agent


class Mine(Agent):
    def __init__(self):
        super().__init__(instructions="", llm=None)

    async def on_enter(self):
        {body}
"""


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Check a tutor where its agent is written; the exit status, and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as `python -m loqua_host` has it there

    def run(name: str = "my_agent:Mine", body: str = "pass") -> tuple[int, str]:
        (tmp_path / "my_agent.py").write_text(AGENT.format(body=body), "utf-8")
        status = check_tutor(name, tmp_path / "config", {})
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_an_agent_is_checked_where_it_is_written(check: Callable[..., tuple[int, str]]) -> None:
    """Without a configuration, a server or a secret."""
    status, shown = check(body="time.sleep(0.5)")
    assert status == 1, shown
    assert "\nmy_agent.py:12\n  Mine.on_enter blocks the event loop, for 0." in shown


def test_an_agent_without_a_problem_is_reported_as_such(
    check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a sound one has no problem in a lesson, test_rehearsal.py proves."""
    monkeypatch.setattr(module, "find_problems_in_lesson", lambda *_: [])
    status, shown = check()
    assert status == 0, shown
    assert "nothing found; a lesson with it was taught to its record" in shown


def test_an_override_that_livekit_calls_by_other_names_is_reported(
    check: Callable[..., tuple[int, str]],
) -> None:
    """With its place and what to write."""
    override = "pass\n\n    async def llm_node(self, ctx, tools, settings):\n        pass"
    status, shown = check(body=override)
    assert status == 1
    assert "Mine.llm_node (my_agent.py:14): LiveKit passes 'chat_ctx'" in shown
    assert "write def llm_node(self, chat_ctx, tools, model_settings)" in shown


def test_a_plugin_that_is_not_installed_is_reported(check: Callable[..., tuple[int, str]]) -> None:
    """With those that are."""
    status, shown = check("latin")
    assert status == 1
    assert "the plugin 'latin' is not installed" in shown

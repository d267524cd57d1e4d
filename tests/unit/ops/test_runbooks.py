"""Runbooks: meaning, commands and remedy for each alert."""

import re
from pathlib import Path
from typing import cast, get_args

import pytest
import typer.main
from click import Group
from pydantic import BaseModel

from loqua_host.cli import app
from loqua_host.ops.runbooks import OF_EVENTS, render_runbook, runbook_of_event
from loqua_host.settings.host import HostSettings

ROOT = Path(__file__).parents[3]
PAGES = {page.stem: page.read_text() for page in (ROOT / "config/prometheus/runbooks").glob("*.md")}
SOURCE = "\n".join(file.read_text() for file in (ROOT / "host/src").rglob("*.py"))
HOST_SOURCE = "\n".join(
    file.read_text()
    for file in (ROOT / "host/src/loqua_host").rglob("*.py")
    if not {"dev", "job", "registry", "tutor-template"} & {*file.parts}
)
"""The code of the host process, whose errors the status page shows."""

EVENTS = set(re.findall(r"\"([a-z_]+\.[a-z_]+)\"", SOURCE)) | {
    f"{row}.{outcome}"  # of records.delivery, which makes these names
    for row in ("record", "progress")
    for outcome in ("delivered", "postponed", "refused", "dead")
}
SETTINGS = {
    f"{section}.{key}"
    for section, field in HostSettings.model_fields.items()
    for model in (field.annotation, *get_args(field.annotation))
    if isinstance(model, type) and issubclass(model, BaseModel)
    for key in model.model_fields
}

OTHERS = {"host.yaml", "json.tool", "ledger.db"}


def commands(text: str) -> list[str]:
    """Return the lines of a text's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("name", PAGES)
def test_a_runbook_says_what_it_means_how_to_see_more_and_what_to_do(name: str) -> None:
    """In this order, and with something to type."""
    meaning, look, fix = re.split(r"\n## (?:Look at|Fix)\n", PAGES[name])
    assert len(meaning.splitlines()) > 2
    assert commands(look)
    assert "\n* " in fix


@pytest.mark.parametrize("name", PAGES)
def test_a_runbook_s_commands_are_there(name: str) -> None:
    """With their options; and nothing is asked for at the ops address that it does not have."""
    for line in re.findall(r"loqua-host ((?:[a-z]+ ?|--[a-z]+ ?)+)", PAGES[name]):
        command = typer.main.get_command(app)
        for word in line.split():
            if word.startswith("--"):
                assert word in {option for it in command.params for option in it.opts}
            else:
                command = cast("Group", command).commands[word]
    for path in re.findall(r"(?:ops |:9464)(/[\w/]*)", PAGES[name]):
        assert path in {"/health", "/health/live", "/metrics"}


@pytest.mark.parametrize("name", PAGES)
def test_a_runbook_speaks_of_events_and_settings_that_there_are(name: str) -> None:
    """One that was renamed would be looked for in vain."""
    named = set(re.findall(r"(?<![\w./-])[a-z_]+\.[a-z_]+\b(?!\()", PAGES[name]))
    assert named - EVENTS - SETTINGS - OTHERS == set()


@pytest.mark.parametrize("name", OF_EVENTS)
def test_a_runbook_to_which_an_error_leads_speaks_of_that_error(name: str) -> None:
    """The status page links to it; the host logs the event that it describes."""
    assert [event for event in OF_EVENTS[name] if event not in PAGES[name]] == []
    assert set(OF_EVENTS[name]) <= EVENTS


WITHOUT = {"host.installed_over", "lesson.not_captured", "security.user_id_changed"}
"""Errors whose hint is all that there is to do."""


def test_each_error_of_the_host_leads_to_a_runbook() -> None:
    """By its name; a warning has a hint, if not a runbook."""
    errors = set(re.findall(r"log\.error\(\s*\"([a-z_.]+)\"", HOST_SOURCE))
    assert {event for event in errors if runbook_of_event(event) is None} - WITHOUT == set()


def test_a_runbook_is_rendered_without_the_markup_that_it_quotes() -> None:
    """None of it could come from elsewhere, and yet."""
    for name in PAGES:
        page = render_runbook(name)
        assert page is not None
        assert f"<h1>{name}</h1>" in page
        assert "<script" not in page

"""Troubleshooting pages: their log events, metrics and settings exist."""

import re

import pytest
from tests.unit.docs.snippets import ROOT
from tests.unit.ops.test_runbooks import EVENTS, OTHERS, SETTINGS

from loqua_host.core.tokens import TokenCause
from loqua_host.settings.secrets import HOST_SECRETS

FOLDER = ROOT / "host/docs/troubleshooting"
PAGES = {page.stem: page.read_text("utf-8") for page in FOLDER.glob("*.md")}
SYMPTOMS = sorted(set(PAGES) - {"index"})
SOURCE = "\n".join(file.read_text() for file in (ROOT / "host/src").rglob("*.py"))


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_symptom_s_page_says_what_is_seen_and_what_to_type(name: str) -> None:
    """In this order, and the index leads to it."""
    page = PAGES[name]
    assert page.index("**You see**") < page.index("**Type")
    assert f"({name}.md)" in PAGES["index"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_events_settings_and_metrics_that_there_are(name: str) -> None:
    """One that was renamed would be looked for in vain."""
    page = re.sub(r"\]\([^)]*\)", "]", PAGES[name])
    named = set(re.findall(r"(?<![\w./-])[a-z_]+\.[a-z_]+\b(?!\()", page))
    assert named - EVENTS - SETTINGS - OTHERS - {"api.cache"} == set()
    metrics = (ROOT / "config/prometheus/README.md").read_text("utf-8")
    shown = set(re.findall(r"loqua_[a-z_]+", page))
    assert {one for one in shown if f"`{one}" not in metrics} == set()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_causes_that_there_are(name: str) -> None:
    """The code defines each of them."""
    causes = set(re.findall(r"cause=([\w-]+)", PAGES[name]))
    if name == "token-decryption-failed":
        rows = "\n".join(re.findall(r"^\| (`.*?) \|", PAGES[name], re.MULTILINE))
        causes |= set(re.findall(r"`(\w+)`", rows))
        assert causes == set(TokenCause)
    made = {f"{endpoint}_refused" for endpoint in ("user-token", "context", "health")}
    assert {one for one in causes - made if f'"{one}"' not in SOURCE} == set()


def test_variables_are_the_hosts() -> None:
    """By their names."""
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", "\n".join(PAGES.values())))
    assert named - set(HOST_SECRETS) <= {"AGENT_ID", "API_BASE_URL"}

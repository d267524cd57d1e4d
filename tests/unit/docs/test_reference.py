"""The reference: every hook, setting, command and public name."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main
from host.reference.commands import render_commands
from host.reference.hooks import find_hooks, render_hooks
from host.reference.public import MODULES, list_signatures, render_module
from host.reference.settings import render_settings

from loqua_host.cli import app
from loqua_host.contract import hookspecs
from loqua_host.settings.hooks import HookLimits
from loqua_host.settings.host import HostSettings
from loqua_host.settings.tutors import TutorSettings

FILES = {"host.yaml": HostSettings, "tutors/NAME.yaml": TutorSettings}


@cache
def settings_page() -> str:
    """Return the page of settings."""
    return render_settings()


def keys(schema: dict[str, Any], part: dict[str, Any], *above: str) -> Iterator[str]:
    """Yield each key of a file by its schema for editors, the model's other description."""
    for name, it in part.get("properties", {}).items():
        options = [it, *it.get("anyOf", [])]
        refs = [one["$ref"].rpartition("/")[2] for one in options if "$ref" in one]
        inner = schema["$defs"][refs[0]] if refs and "Engine" not in refs else {}
        if "properties" in inner:
            yield from keys(schema, inner, *above, name)
        else:
            yield ".".join((*above, name))


@pytest.mark.parametrize(("file", "model"), FILES.items(), ids=FILES)
def test_every_setting_is_documented_with_type_default_and_variable(
    file: str, model: type[Any]
) -> None:
    """The keys are those of the schema for editors."""
    section = settings_page().partition(f"## config/{file}\n")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE))
    schema = model.model_json_schema(by_alias=True)
    assert set(rows) == set(keys(schema, schema))
    for row in rows.values():
        kind, default, variable, meaning = row.split(" | ")
        assert all((kind, default, meaning))
        assert re.fullmatch(r"`(LOQUA_[A-Z_]+|AGENT_ID|LIVEKIT_URL|API_BASE_URL)`", variable)


def test_every_hook_is_documented_by_its_specification() -> None:
    """With its arguments, when it is called, its limit, and what a failure does."""
    page = render_hooks()
    assert [hook.__name__ for hook in find_hooks()] == re.findall(r"^## (\w+)", page, re.MULTILINE)
    for hook in find_hooks():
        text = page.partition(f"## {hook.__name__}\n")[2].partition("\n## ")[0]
        for argument in inspect.signature(hook).parameters:
            assert re.search(rf"def {hook.__name__}\(.*\b{argument}: \w+", text)
        assert (inspect.getdoc(hook) or "") in text
        assert "called" in text.lower()
        assert "fails" in text.lower() or "failure" in text.lower()


@pytest.mark.parametrize("hook", HookLimits.model_fields)
def test_a_hooks_limit_is_the_setting_s_default(hook: str) -> None:
    """The specification and the setting state the same number."""
    default = HookLimits.model_fields[hook].default
    assert f"Time limit: {default:g} s" in (inspect.getdoc(vars(hookspecs)[hook]) or "")
    assert f"`lessons.limits.{hook}`" in render_hooks()


def listed(command: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Yield each command with its full name."""
    for name, it in getattr(command, "commands", {}).items():
        yield " ".join((*above, name)), it
        yield from listed(it, *above, name)


COMMANDS = dict(listed(typer.main.get_command(app), "loqua-host"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(name: str) -> None:
    """And with what it does, in its own words."""
    command = COMMANDS[name]
    text = render_commands().partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    assert command.help.split("\n")[0] in text
    for parameter in command.params:
        shown = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name
        assert shown in text


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module: str) -> None:
    """With its signature, and its attributes in words."""
    page = render_module(module, "Title")
    for signature in list_signatures(module):
        name = re.search(r"[\w.]+", signature.removeprefix("class ").removeprefix("async "))
        assert name
        assert name[0] in page

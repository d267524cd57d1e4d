"""JSON schemas of config/, for editors."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from loqua_host.settings.schema import schemas

CONFIG = Path(__file__).parents[3] / "config"
FILES = {
    **dict.fromkeys(("host.yaml", *CONFIG.glob("environments/*.yaml")), "host.json"),
    **dict.fromkeys(CONFIG.glob("tutors/*.yaml"), "tutor.json"),
}


def mistakes(schema: str, data: Any) -> list[str]:
    """Return what an editor would underline."""
    validator = jsonschema_rs.validator_for(json.loads(schemas()[schema]))
    return [error.message for error in validator.iter_errors(data)]


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_in_config_are_current(name: str) -> None:
    """If not, run `uv run python -m loqua_host.settings.schema config/schema`."""
    assert (CONFIG / "schema" / name).read_text("utf-8") == schemas()[name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file).name)
def test_our_own_configuration_fits_the_schema_that_it_names(file: Path) -> None:
    """In its first line, where editors look."""
    text = (CONFIG / file).read_text("utf-8")
    depth = "" if file == "host.yaml" else "../"
    first, *_ = text.splitlines()
    assert first == f"# yaml-language-server: $schema={depth}schema/{FILES[file]}"
    assert mistakes(FILES[file], yaml.safe_load(text)) == []


def test_what_the_environment_gives_is_not_required() -> None:
    """The address of the API is a variable's to say."""
    assert mistakes("host.json", {"api": {"retries": 2}, "livekit": {}}) == []


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ("host.json", {"lessns": {}}),
        ("host.json", {"lessons": {"learner_timeout": 5}}),
        ("host.json", {"logs": {"level": "loud"}}),
        ("host.json", {"secrets": {"vault": {}}}),
        ("tutor.json", {"agent_name": "grammar"}),
        ("tutor.json", {"worker_type": "explicit", "max_concurrent_jobs": 0}),
    ],
)
def test_an_editor_sees_the_mistakes_that_the_host_would_refuse(
    schema: str, data: dict[str, object]
) -> None:
    """Unknown keys, bounds, choices and what is missing."""
    assert mistakes(schema, data)

"""The demo's choice of tutors, and one line for each that cannot run."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from loqua_host.dev.demo import playable
from loqua_host.dev.parts import write_config
from loqua_host.dev.scripts import LESSONS
from loqua_host.dev.tutors import DemoTutors, choose_tutors
from loqua_host.errors import ConfigError, LoquaError
from loqua_host.settings.load import draft
from loqua_host.settings.templates import TEMPLATES
from loqua_host.settings.tutors import TutorSettings

ENVIRON = {
    "PATH": os.environ["PATH"],
    "LOQUA_ENVIRONMENT": "development",
    "AGENT_ID": "demo",
    "API_BASE_URL": "http://127.0.0.1:1",
    "LIVEKIT_URL": "ws://127.0.0.1:2",
}
EXPLICIT = {"worker_type": "explicit"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a copy of config/ whose tutors a test writes itself."""
    shutil.copytree(TEMPLATES, tmp_path / "config")
    for file in (tmp_path / "config/tutors").iterdir():
        file.unlink()
    return tmp_path / "config"


def write(config: Path, name: str, **keys: object) -> None:
    """Write a tutor's file."""
    (config / "tutors" / f"{name}.yaml").write_text(yaml.safe_dump(keys))


async def choose(config: Path, **given: str) -> DemoTutors:
    """Choose tutors with these variables set; the rest must be valid."""
    chosen = await choose_tutors(config, ENVIRON, given)
    assert draft(config, ENVIRON).problems == ()
    return chosen


def named(tutors: DemoTutors) -> list[str]:
    """Name those that run."""
    return [tutor.name for tutor in tutors.running]


async def test_each_tutor_that_cannot_run_is_left_out_with_one_line(config: Path) -> None:
    """Not installed, mistaken, colliding or failing at its import: the others run."""
    write(config, "conversation", worker_type="automatic")
    write(config, "absent", **EXPLICIT, agent_name="absent")
    write(config, "mistaken", worker_typ="explicit")
    write(config, "second", worker_type="automatic", plugin="grammar")
    write(config, "failing", **EXPLICIT, agent_name="failing", agent="nowhere:Agent")
    write(config, "off", **EXPLICIT, agent_name="off", enabled=False)
    chosen = await choose(config)
    assert named(chosen) == ["conversation"]
    assert "is not installed" in chosen.left_out["absent"]
    assert "write worker_type" in chosen.left_out["mistaken"]
    assert "two tutors would join every room" in chosen.left_out["second"]
    assert "ModuleNotFoundError" in chosen.left_out["failing"]
    assert "off" not in chosen.left_out
    assert [why for why in chosen.left_out.values() if "\n" in why] == []


async def test_a_tutor_gets_its_variables_and_without_them_is_left_out(config: Path) -> None:
    """It gets those that config grants to it and to its engines, and no others."""
    llm = {"use": "livekit.plugins.openai:LLM", "secrets": {"api_key": "SPEECH_KEY"}}
    write(config, "conversation", worker_type="automatic", engines={"llm": llm})
    write(config, "grammar", **EXPLICIT, agent_name="grammar-specialist", secrets=["MY_KEY"])
    chosen = await choose(config, SPEECH_KEY="1", OTHER_KEY="3")
    assert named(chosen) == ["conversation"]
    assert chosen.left_out == {"grammar": "MY_KEY not set"}
    assert chosen.variables == {"SPEECH_KEY": "1"}


async def test_a_mistake_that_is_no_tutors_ends_the_demo_with_its_line(config: Path) -> None:
    """No tutor can be left out to avoid such a mistake."""
    write(config, "conversation", worker_type="automatic")
    (config / "host.yaml").write_text("lesson: {}")
    with pytest.raises(ConfigError, match="write lessons"):
        await choose_tutors(config, ENVIRON, {})


def tutor(plugin: str, agent_name: str | None) -> TutorSettings:
    """Return a tutor as config/tutors has it."""
    kind = "explicit" if agent_name else "automatic"
    return TutorSettings.model_validate(
        {"name": "any", "plugin": plugin, "worker_type": kind, "agent_name": agent_name}
    )


CONVERSATION = tutor("conversation", None)
GRAMMAR = tutor("grammar", "grammar-specialist")
PRONUNCIATION = tutor("pronunciation", "pronunciation-specialist")


@pytest.mark.parametrize(
    ("tutors", "names"),
    [
        ([CONVERSATION, GRAMMAR, PRONUNCIATION], [lesson.name for lesson in LESSONS]),
        ([CONVERSATION], ["conversation"]),
        ([PRONUNCIATION], ["pronunciation"]),
        ([CONVERSATION, GRAMMAR], ["conversation", "grammar"]),
        ([CONVERSATION, tutor("grammar", "renamed")], ["conversation"]),
        ([tutor("other", None), GRAMMAR, PRONUNCIATION], ["pronunciation"]),
    ],
)
def test_a_lesson_is_shown_where_all_its_tutors_run(
    tutors: list[TutorSettings], names: list[str]
) -> None:
    """By their plugins and the names that the lesson calls them by."""
    assert [lesson.name for lesson in playable(tutors)] == names


def test_without_any_lesson_the_demo_says_what_to_install() -> None:
    """In one line."""
    with pytest.raises(LoquaError, match="install one of loqua-tutor-conversation, ") as refused:
        playable([GRAMMAR])
    assert "\n" not in str(refused.value)


def test_the_demo_scores_pronunciation_with_its_own_server(config: Path, tmp_path: Path) -> None:
    """A tutor without a scorer is left as it is."""
    write(config, "pronunciation", settings={"scorer": "http://127.0.0.1:8085/v1"})
    write(config, "grammar", settings={})
    write_config(config, tmp_path / "copy", "http://127.0.0.1:3", tick_every=5)
    written = {
        file.stem: yaml.safe_load(file.read_text())["settings"]
        for file in (tmp_path / "copy/tutors").glob("*.yaml")
    }
    assert written["pronunciation"] == {"scorer": "http://127.0.0.1:3/v1"}
    assert written["grammar"] == {}


@pytest.mark.parametrize("overlay", [None, "", "engines: {stt: null}\nlogs: {level: debug}\n"])
def test_the_demo_speaks_through_its_own_server_whatever_config_says(
    config: Path, tmp_path: Path, overlay: str | None
) -> None:
    """An operator's development.yaml may name other engines, or be gone."""
    write(config, "conversation", worker_type="automatic")
    file = config / "environments/development.yaml"
    file.unlink()
    if overlay is not None:
        file.write_text(overlay)
    write_config(config, tmp_path / "copy", "http://127.0.0.1:3", tick_every=5)
    drafted = draft(tmp_path / "copy", ENVIRON)
    assert drafted.problems == ()
    assert drafted.settings
    engines = (drafted.settings.engines.stt, drafted.settings.engines.tts)
    assert [engine.options["base_url"] for (engine,) in engines] == [
        "http://127.0.0.1:3/v1",
        "http://127.0.0.1:3/v1",
    ]

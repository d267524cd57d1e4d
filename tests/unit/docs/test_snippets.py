"""The code blocks of the documents: commands, files and tutors that work as shown."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pydantic import TypeAdapter
from tests.unit.docs.snippets import ROOT, Snippet, install, snippets

from loqua_host.cli import app
from loqua_host.cli.new_tutor import write_tutor
from loqua_host.registry.loader import load_plugin
from loqua_host.settings.host import HostSettings
from loqua_host.settings.tutors import TutorSettings
from loqua_host.testing import play_lesson, read_script

DOCS = ROOT / "host/docs"
TUTORIAL = DOCS / "tutorial.md"
SHELL = snippets("sh", "console", "bash")
YAML = snippets("yaml")
RECIPES = [one for one in YAML if "\nsteps:" in one.text and one.document != TUTORIAL]
TUTORS = [one for one in YAML if "worker_type:" in one.text]
SECTIONS = [
    one
    for one in YAML
    if one not in TUTORS
    and not re.search(r"^(steps|scrape_configs|apiVersion):", one.text, re.MULTILINE)
]


def script(snippet: Snippet) -> str:
    """Return what is typed, without prompts and output."""
    lines = snippet.text.splitlines()
    if snippet.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return "\n".join(lines)


@pytest.mark.parametrize("snippet", SHELL, ids=lambda one: one.name)
def test_what_is_typed_is_sound_shell(snippet: Snippet) -> None:
    """Quotes and braces are closed."""
    done = subprocess.run(["bash", "-n"], input=script(snippet), text=True, check=False)  # noqa: S607  # any
    assert done.returncode == 0


@pytest.mark.parametrize("snippet", SHELL, ids=lambda one: one.name)
def test_the_commands_of_the_host_are_there_with_their_options(snippet: Snippet) -> None:
    """And take as many arguments as they are given."""
    for line in re.findall(r"(?:^|[;&|] ?)loqua-host\b([^|&;\n]*)", script(snippet), re.MULTILINE):
        command: Any = typer.main.get_command(app)
        words = shlex.split(line, comments=True)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        options = {name: it for it in command.params for name in it.opts if name.startswith("-")}
        given = [word for word in words if word.startswith("-")]
        assert set(given) <= {*options, "--help"}
        values = sum(not options[name].is_flag for name in given if name in options)
        places = [it for it in command.params if it.param_type_name == "argument"]
        assert len(words) - len(given) - values <= len(places), f"loqua-host{line}"


@pytest.mark.parametrize("snippet", TUTORS, ids=lambda one: one.name)
def test_a_tutors_file_is_one_that_the_host_takes(snippet: Snippet) -> None:
    """With every key in its place."""
    TutorSettings.model_validate({"name": "tutor"} | yaml.safe_load(snippet.text))


@pytest.mark.parametrize("snippet", SECTIONS, ids=lambda one: one.name)
def test_sections_of_the_hosts_files_are_ones_that_it_takes(snippet: Snippet) -> None:
    """Each snippet is valid below its key."""
    for key, written in yaml.safe_load(snippet.text).items():
        TypeAdapter[Any](HostSettings.model_fields[key].annotation).validate_python(written)


@pytest.mark.parametrize("snippet", RECIPES, ids=lambda one: one.name)
def test_a_recipes_lesson_passes_with_the_recipes_code(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed as a plugin, or hosted as an agent, under the name of the page."""
    if snippet.document.parent == DOCS / "recipes":
        (code,) = (one.text for one in snippets("python") if one.document == snippet.document)
        name = snippet.document.stem
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, "utf-8")
        install(tmp_path, name, module)
        monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "documented.lesson.yaml"
    file.write_text(snippet.text, "utf-8")
    play_lesson(read_script(file))


def test_a_custom_stt_can_be_created_as_its_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By LiveKit's own base class."""
    page = DOCS / "recipes/custom-stt.md"
    (code,) = [one.text for one in snippets("python") if one.document == page]
    (written,) = [yaml.safe_load(one.text) for one in YAML if one.document == page]
    engine = written["engines"]["stt"]
    module, _, kind = engine["use"].partition(":")
    (tmp_path / f"{module}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = getattr(__import__(module), kind)(**engine["options"])
    assert not made.capabilities.streaming


async def test_the_engines_of_the_speech_server_can_be_created() -> None:
    """The arguments are those in its README."""
    readme = ROOT / "plugins/speech/README.md"
    (code,) = [one.text for one in snippets("python") if one.document == readme]
    names: dict[str, Any] = {"url": "http://127.0.0.1:1"}
    exec(code, names)  # noqa: S102  # our own README
    assert (names["stt"].model, names["tts"].model) == ("whisper-base", "pico")


def test_the_tutorial_makes_a_tutor_that_teaches_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From `new-tutor`, by its patch, to its lesson and its file in config/tutors."""
    text = TUTORIAL.read_text("utf-8")
    (name,) = re.findall(r"loqua-host new-tutor (\S+)", text)
    directory = write_tutor(name, tmp_path)
    (patch,) = [one.text for one in snippets("diff") if one.document == TUTORIAL]
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=directory, check=True)  # noqa: S607  # any
    module = f"loqua_tutor_{name.replace('-', '_')}"
    install(directory / "src", name, module)
    monkeypatch.syspath_prepend(directory / "src")
    lesson, file = [one.text for one in YAML if one.document == TUTORIAL]
    (tmp_path / "x.lesson.yaml").write_text(lesson, "utf-8")
    play_lesson(read_script(tmp_path / "x.lesson.yaml"))
    written = TutorSettings.model_validate({"name": name} | yaml.safe_load(file))
    assert load_plugin(plugin=written.plugin).read_settings(written.settings)

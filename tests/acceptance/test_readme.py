"""The code, commands and settings in README.md and config/README.md."""

import inspect
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
import yaml
from click import Group
from livekit.agents import AgentSession, llm
from pydantic import BaseModel

from loqua_host import Ending, Learner, LearnerContext, Lesson, LessonReport, Progress, Tick
from loqua_host.cli import app
from loqua_host.contract import hookspecs
from loqua_host.registry.caller import HookCaller
from loqua_host.registry.inspection import inspect_tutors
from loqua_host.registry.loader import load_plugin
from loqua_host.settings.hooks import HookLimits
from loqua_host.settings.host import Environment
from loqua_host.settings.load import draft
from loqua_host.settings.secrets import HOST_SECRETS
from loqua_host.settings.tracing import COLLECTORS
from loqua_host.settings.tutors import TutorSettings
from loqua_host.settings.variables import ADDRESSES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
MANUAL = (ROOT / "config/README.md").read_text("utf-8")
TUTOR_YAML = Path("config/tutors/shadowing.yaml")


def block(language: str) -> str:
    """Return the only fenced block of a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return str(text)


def first_cells(text: str, heading: str) -> str:
    """Return the first column of the table with that heading."""
    lines = text.split(f"| {heading} |", 1)[1].splitlines()[2:]
    return "\n".join(line.split("|")[1] for line in lines[: lines.index("")])


def install_readme_tutor(directory: Path) -> Path:
    """Install the README's tutor as its pyproject.toml says; return the directory."""
    project = tomllib.loads(block("toml"))["project"]
    ((name, module),) = project["entry-points"]["loqua_host"].items()
    assert f"`src/{module}/__init__.py`" in README
    (directory / module).mkdir(parents=True)
    (directory / module / "__init__.py").write_text(block("python"), "utf-8")
    info = directory / f"{module}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(f"[loqua_host]\n{name} = {module}\n")
    return directory


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the README's tutor for this process and its children."""
    directory = install_readme_tutor(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, str(directory))
    yield directory
    sys.path.remove(str(directory))


@dataclass(slots=True)
class RecordingSession:
    """A voice session that records the sentences said in it."""

    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Remember a sentence."""
        self.said.append(text)


def open_lesson(settings: BaseModel, session: RecordingSession) -> Lesson:
    """Return a lesson as a job would, but for the voice."""
    return Lesson(
        id="lesson-1",
        visit="sess_1",
        room="room-1",
        learner=Learner(user_id="user_ana", identity="ana"),
        context=LearnerContext(),
        language="es",
        settings=settings,
        session=cast("AgentSession[None]", session),
    )


async def test_the_tutor_on_one_screen_is_one_that_the_host_runs(
    site: Path, tmp_path: Path
) -> None:
    """Installed and enabled by the README's YAML, it leaves `loqua-host check` nothing to say."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / TUTOR_YAML).write_text(block("yaml"), "utf-8")
    environ = {
        "AGENT_ID": "readme",
        "API_BASE_URL": "http://127.0.0.1:1",
        "LIVEKIT_URL": "ws://127.0.0.1:2",
        "PYTHONPATH": str(site),
        "PATH": os.environ["PATH"],
    }
    drafted = draft(tmp_path / "config", environ)
    assert drafted.settings
    assert drafted.problems == ()
    (shadowing,) = [tutor for tutor in drafted.tutors if tutor.name == TUTOR_YAML.stem]
    (inspection,) = await inspect_tutors(
        tmp_path / "config", environ, [shadowing], drafted.settings.engines
    )
    assert inspection.problems == ()
    assert inspection.version == tomllib.loads(block("toml"))["project"]["version"]
    assert inspection.tutor
    assert inspection.tutor.agent_name == shadowing.agent_name


@pytest.mark.usefixtures("site")
async def test_the_tutor_on_one_screen_teaches_a_lesson() -> None:
    """It says each phrase, counts turns, ends after the last and reports what was missed."""
    loaded = load_plugin(plugin="shadowing")
    settings = loaded.read_settings({"phrases": ["¿Qué tal?", "Hasta luego."]})
    session = RecordingSession()
    lesson = open_lesson(settings, session)
    hooks = HookCaller(loaded, HookLimits())

    agent = lesson.agent = await hooks.create_agent(lesson)
    await hooks.on_user_ready(lesson)
    assert session.said == ["¿Qué tal?"]

    for said in ("que tal", "hasta luego"):
        message = llm.ChatMessage(role="user", content=[said])
        # As LiveKit calls it for what is spoken (voice/agent_activity.py).
        await agent.on_user_turn_completed(llm.ChatContext.empty(), new_message=message)
    assert session.said == ["¿Qué tal?", "Hasta luego."]
    assert await lesson.ended() == "all_repeated"

    progress = Progress(phrases_practiced=2)
    assert await hooks.on_progress_tick(lesson, Tick(number=1, seconds=30)) == progress
    ending = Ending(reason="all_repeated", seconds=40)
    assert await hooks.on_session_end(lesson, ending) == LessonReport(
        progress=progress,
        topics_covered=("shadowing",),
        recommendations=("Say again: ¿Qué tal?",),
    )


def test_every_command_is_shown_and_every_command_shown_is_there() -> None:
    """The table of commands is the command line's own, and so are the options."""
    commands = cast("Group", typer.main.get_command(app)).commands
    assert set(re.findall(r"loqua-host ([\w-]+)", first_cells(README, "command"))) == set(commands)
    assert set(re.findall(r"`loqua-host ([\w-]+)", README + MANUAL)) <= set(commands)
    options = {name for command in commands.values() for it in command.params for name in it.opts}
    assert set(re.findall(r"`(--\w+)", README)) <= options


def test_every_variable_that_the_host_reads_is_shown() -> None:
    """The table names addresses, identity and secrets: the guide's names, and one of ours."""
    written = yaml.safe_load((ROOT / "config/environments/production.yaml").read_text("utf-8"))
    known = {"LOQUA_ENVIRONMENT", *ADDRESSES.values(), *HOST_SECRETS, *granted(written)}
    known |= {*COLLECTORS, "VAULT_ROLE_ID"}
    assert set(re.findall(r"`([A-Z_]+)`", first_cells(MANUAL, "variable"))) == known


def granted(written: dict[str, Any]) -> set[str]:
    """Return the variables that an overlay's engines ask for."""
    return {name for engine in written["engines"].values() for name in engine["secrets"].values()}


def test_every_key_of_a_tutor_file_is_shown() -> None:
    """An operator learns from the README all that config/tutors can say."""
    shown = set(yaml.safe_load(block("yaml")))
    keys = TutorSettings.model_fields.keys() - {"name"}
    assert shown | (keys & set(re.findall(r"`(\w+):[^`]*`", README))) == keys


def test_the_readme_that_is_published_shows_the_hooks_as_they_are() -> None:
    """Names, colours and arguments are those of the contract."""
    published = (ROOT / "host/README.md").read_text("utf-8")
    shown = re.findall(r"`(async )?def (\w+)\(([\w, ]*)\)`", published)
    hooks = [hook for hook in vars(hookspecs).values() if hasattr(hook, "loqua_host_spec")]
    assert shown == [
        (
            "async " if inspect.iscoroutinefunction(hook) else "",
            hook.__name__,
            ", ".join(inspect.signature(hook).parameters),
        )
        for hook in hooks
    ]


def test_every_environment_is_shown_and_has_its_file() -> None:
    """The environments are the three that the manual and config/environments have."""
    files = {file.stem for file in (ROOT / "config/environments").iterdir()}
    assert files == set(Environment)
    assert all(f"`{name}`" in MANUAL for name in files)


@pytest.mark.parametrize("readme", ["README.md", "config/README.md"])
def test_every_link_within_the_project_leads_somewhere(readme: str) -> None:
    """No link points at a file that was moved."""
    file = ROOT / readme
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", file.read_text("utf-8"))
    assert targets
    assert [target for target in targets if not (file.parent / target).exists()] == []

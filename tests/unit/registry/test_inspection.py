"""Inspection of tutors: the effects of an import stay in a child process."""

import asyncio
import os
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from loqua_host.registry.inspection import Inspection, inspect_tutors
from loqua_host.settings.engines import Engines
from loqua_host.settings.load import draft
from loqua_host.settings.tutors import TutorSettings
from loqua_host.system.sandbox import sandbox_gaps

Install = Callable[[str, str], None]

CONFIG = Path("config")
HOOKS = """
import os, sys, subprocess, threading, time
from livekit.agents import Agent
from pydantic import BaseModel, Field
from loqua_host import Tutor, hookimpl

class Settings(BaseModel):
    level: int = Field(default=1, le=5, description="a level from 1 to 5")

@hookimpl
async def create_agent(lesson):
    return Agent(instructions="teach")

@hookimpl
def register_tutor():
    return Tutor(name=NAME, agent_name=NAME, settings=Settings, secrets=SECRETS, video=True)

NAME, SECRETS = __name__.replace("_", "-"), ("A_KEY",)
"""
PLUGINS = {
    "noisy": """
        print('{"tutor": null, "problems": []}', flush=True)
        os.write(1, b"noise"), os.write(2, b"noise")
        threading.Thread(target=time.sleep, args=(1000,)).start()
        """,
    "raising": "raise ValueError('no model\\x1b[31m at\\nhand')",
    "leaving": """
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        with open(__file__ + ".pid", "w") as file: file.write(str(left.pid))
        os._exit(3)
        """,
    "daemonising": """
        import signal
        pids = __file__ + ".pids"
        def start():
            if os.fork(): return
            os.setsid()
            if os.fork(): os._exit(0)
            for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
            os.fork()
            with open(pids, "a") as file: file.write(f"{os.getpid()} ")
            time.sleep(1000)
        start(), start()
        while not os.path.exists(pids) or len(open(pids).read().split()) < 4: time.sleep(0.01)
        """,
    "quitting": "sys.exit('enough')",
    "crashing": "os.kill(os.getpid(), 11)",
    "forging": """
        for fd in range(3, 32):
            try: os.write(fd, b'{"tutor": {"name": "\\x1b[31m"}}')
            except OSError: pass
        os._exit(0)
        """,
    "curious": "raise RuntimeError(' '.join(sorted(os.environ)))",
    "misled": "",
    "confined": """
        try: open(__file__ + ".written", "w")
        except PermissionError: subprocess.run(["true"])
        """,
    "twin": "NAME = 'tutor-noisy'",
}
FREE = {"processes": True, "writable": ["/"]}
GIVEN = {"HOME": "/nonexistent", "AGENT_JWT_TOKEN": "secret", "OPENAI_API_KEY": "secret"}


def tutor(name: str, **written: object) -> TutorSettings:
    """Return the settings of an explicit tutor with a plugin of that name."""
    given: dict[str, object] = {"plugin": name, "worker_type": "explicit", "agent_name": name}
    given |= {"secrets": ["A_KEY"]}
    return TutorSettings.model_validate({"name": name} | given | written)


@pytest.fixture(scope="module")
def inspections(site: Path, install: Install) -> dict[str, Inspection]:
    """Inspect all plugins in one go."""
    for name, source in PLUGINS.items():
        install(name, HOOKS + dedent(source))
    engines = {
        "stt": {"use": "livekit.agents:NoSuchEngine"},
        "tts": {"use": "no_such_package:TTS"},
        "llm": [
            {"use": "livekit.plugins.openai.realtime:RealtimeModel"},
            {"use": "logging:Formatter", "options": {"fmz": 1}},
        ],
    }
    tutors = [tutor(name, sandbox=FREE) for name in PLUGINS if name not in ("misled", "confined")]
    tutors += [
        tutor("misled", settings={"level": 9, "levle": 1}, engines=engines, secrets=[]),
        tutor("noisy-again", plugin="noisy", agent_name="again", settings={"level": 5}),
        tutor("confined"),
        tutor("latin"),
        tutor("bare", plugin=None, agent="string:Formatter"),
    ]
    environ = GIVEN | {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    found = asyncio.run(inspect_tutors(CONFIG, environ, tutors, Engines(), limit=150))
    return {inspection.name: inspection for inspection in found}


def problems_of(inspection: Inspection) -> list[str]:
    """Return the problems as lines, and see that nothing is declared beside a failed import."""
    return [str(problem) for problem in inspection.problems]


def test_a_sound_tutor_is_known_by_what_it_declares(
    inspections: dict[str, Inspection],
) -> None:
    """Its output is not parsed, and its threads do not keep the child alive."""
    found = inspections["noisy"]
    assert found.problems == ()
    assert found.tutor is not None
    assert found.tutor.model_dump() == {
        "name": "tutor-noisy",
        "agent_name": "tutor-noisy",
        "secrets": ("A_KEY",),
        "video": True,
    }
    assert (found.plugin, found.version) == ("noisy", "2.3")


def test_a_plugin_that_runs_twice_is_no_namesake_of_itself(
    inspections: dict[str, Inspection],
) -> None:
    """Another plugin that declares the same name is one, as before."""
    assert inspections["noisy-again"].problems == ()
    assert problems_of(inspections["twin"])


def test_what_an_import_raises_is_reported_with_its_line(
    inspections: dict[str, Inspection],
) -> None:
    """In one printable line, with the place in the plugin."""
    [problem] = problems_of(inspections["raising"])
    assert problem.startswith(
        "config/tutors/raising.yaml: its import raised ValueError: no model�[31m at hand at "
        "tutor_raising.py:"
    )
    assert inspections["raising"].tutor is None


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("leaving", "exit status 3"),
        ("quitting", "exit status 1"),
        ("crashing", "Segmentation fault"),
        ("forging", "exit status 0"),
    ],
)
def test_an_import_that_ends_its_process_is_reported_with_its_exit_status(
    inspections: dict[str, Inspection], name: str, ending: str
) -> None:
    """Output before that is not believed."""
    [problem] = problems_of(inspections[name])
    assert f"its import ended the process ({ending}); fix the plugin" in problem


def test_nothing_a_plugin_started_outlives_its_inspection(
    inspections: dict[str, Inspection], site: Path
) -> None:
    """A process left behind at import is killed with the child's group."""
    assert inspections["leaving"].problems
    left = int((site / "tutor_leaving.py.pid").read_text())
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(bool(sandbox_gaps()), reason="this kernel has no complete sandbox")
def test_an_import_neither_writes_nor_starts_programs_unless_that_is_granted(
    inspections: dict[str, Inspection],
) -> None:
    """It runs in its tutor's sandbox."""
    [problem] = problems_of(inspections["confined"])
    assert "its import raised PermissionError: [Errno 1]" in problem


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_not_even_what_made_itself_independent_outlives_an_inspection(
    inspections: dict[str, Inspection], site: Path
) -> None:
    """A second fork and a session of its own take it out of the child's group."""
    assert inspections["daemonising"].problems == ()
    left = [int(pid) for pid in (site / "tutor_daemonising.py.pids").read_text().split()]
    assert len(left) == 4
    assert [pid for pid in left if not gone(pid)] == []


async def test_not_even_what_made_itself_independent_outlives_an_inspection_that_is_given_up(
    site: Path, install: Install
) -> None:
    """Its import hangs; the limit ends it in the same way."""
    install(
        "lingering",
        """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(__file__ + ".pid", "w") as file: file.write(str(os.getpid()))
        time.sleep(1000)
    os._exit(0)
time.sleep(1000)
""",
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    looking = asyncio.create_task(
        inspect_tutors(CONFIG, environ, [tutor("lingering", sandbox=FREE)], Engines(), limit=150)
    )
    written = site / "tutor_lingering.py.pid"
    while not (written.exists() and written.read_text()):  # noqa: ASYNC110  # no event says so
        await asyncio.sleep(0.05)
    looking.cancel()
    await asyncio.wait([looking])
    assert gone(int(written.read_text()))


def test_a_plugin_sees_no_secret_in_its_environment(
    inspections: dict[str, Inspection],
) -> None:
    """A few safe_environ variables are passed on, and no others."""
    [problem] = problems_of(inspections["curious"])
    seen = set(problem.partition("RuntimeError: ")[2].partition(" at ")[0].split())
    assert seen - {"LC_CTYPE"} == {"HOME", "NETRC", "PATH", "PYTHONPATH"}


def test_all_mistakes_of_one_tutor_are_reported_at_once(
    inspections: dict[str, Inspection],
) -> None:
    """Engines, settings and secrets, each with file, key and what to write."""
    found = [problem.partition("; ")[0] for problem in problems_of(inspections["misled"])]
    file = "config/tutors/misled.yaml"
    assert [problem.split(": ", 2)[:2] for problem in found] == [
        [file, "engines.stt.use"],
        [file, "engines.llm[0].use"],
        [file, "engines.llm[1].options"],
        [file, "engines.tts.use"],
        [file, "settings.level"],
        [file, "settings.levle"],
        [file, "secrets"],
    ]
    assert "a level from 1 to 5" in problems_of(inspections["misled"])[4]
    assert problems_of(inspections["misled"])[5].endswith("is not a known key; write level")
    assert "write secrets: [A_KEY]" in problems_of(inspections["misled"])[6]


@pytest.mark.usefixtures("inspections")
async def test_a_setting_that_a_variable_gives_is_reported_by_the_variable(
    site: Path, tmp_path: Path
) -> None:
    """A problem beside it in the tutor's file is reported by file."""
    file = tmp_path / "tutors/noisy.yaml"
    file.parent.mkdir()
    file.write_text("{worker_type: explicit, agent_name: noisy, settings: {levle: 1}}")
    variables = {
        "LOQUA_TUTORS__NOISY__SETTINGS__LEVEL": "9",
        "LOQUA_TUTORS__NOISY__SECRETS": "[]",
        "LOQUA_TUTORS__NOISY__ENGINES__TTS": '{"use": "no_such_package:TTS"}',
    }
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)} | variables
    [noisy] = draft(tmp_path, environ).tutors
    [found] = await inspect_tutors(tmp_path, environ, [noisy], Engines(), limit=150)
    assert [problem.partition(": ")[0] for problem in problems_of(found)] == [
        "LOQUA_TUTORS__NOISY__ENGINES__TTS.use",
        "LOQUA_TUTORS__NOISY__SETTINGS__LEVEL",
        str(file),
        "LOQUA_TUTORS__NOISY__SECRETS",
    ]


def test_two_plugins_that_declare_one_tutor_are_named_both(
    inspections: dict[str, Inspection],
) -> None:
    """The report on the second names the first."""
    [problem] = problems_of(inspections["twin"])
    assert "noisy and twin both declare a tutor named 'tutor-noisy'" in problem


def test_a_plugin_that_is_not_installed_needs_no_child(
    inspections: dict[str, Inspection],
) -> None:
    """It is reported as at the loading of config/."""
    [problem] = problems_of(inspections["latin"])
    assert "the plugin 'latin' is not installed" in problem


def test_a_class_that_is_no_agent_is_reported(inspections: dict[str, Inspection]) -> None:
    """An agent is inspected as a plugin is."""
    [problem] = problems_of(inspections["bare"])
    assert "is no LiveKit agent" in problem
    assert inspections["bare"].plugin == "string:Formatter"


async def test_a_machine_that_starts_no_child_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs the tutor, not the host."""

    def refuse(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(forkserver, "connect_to_new_process", refuse)
    [found] = await inspect_tutors(CONFIG, {}, [tutor("grammar")], Engines())
    [problem] = problems_of(found)
    assert "cannot be inspected: Resource temporarily unavailable; free processes" in problem


async def test_an_import_that_hangs_is_given_up(site: Path, install: Install) -> None:
    """After the limit the child is killed, and the others are not kept waiting."""
    install("hanging", "import time\ntime.sleep(1000)")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    async with asyncio.timeout(60):
        [found] = await inspect_tutors(CONFIG, environ, [tutor("hanging")], Engines(), limit=0.5)
    [problem] = problems_of(found)
    assert "its import did not finish within 0.5 s" in problem
    assert psutil.Process(forkserver._forkserver._forkserver_pid).children() == []  # type: ignore[attr-defined]

"""A rehearsal: mistakes in a tutor's hooks, with file and line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.cli.check_tutor import find_problems_in_lesson
from loqua_host.settings.tutors import TutorSettings
from loqua_host.testing.rehearsal import rehearse

Install = Callable[[str, str], None]

HEAD = """
import time
from livekit.agents import Agent
from loqua_host import Progress, Tutor, hookimpl

class Teacher(Agent):
    def __init__(self):
        super().__init__(instructions="teach", llm=None)

@hookimpl
def register_tutor():
    return Tutor(name=__name__.replace("_", "-"))

@hookimpl
async def create_agent(lesson):
    return Teacher()

"""


def tutor(name: str = "mine", **written: object) -> TutorSettings:
    """Return a tutor as its file has it."""
    file = {"name": name, "plugin": name, "worker_type": "automatic"} | written
    return TutorSettings.model_validate(file)


def test_a_call_that_blocks_the_event_loop_is_found(install: Install) -> None:
    """At the tutor's own line, in the hook that the host called."""
    slow = "@hookimpl\nasync def on_progress_tick(lesson):\n    nap()\n"
    install("slow", f"{HEAD}{slow}\ndef nap():\n    time.sleep(0.4)\n")
    [problem] = rehearse(tutor("slow"))
    line = f"{HEAD}{slow}".count("\n") + 3
    assert problem.where == f"tutor_slow.py:{line}"
    assert problem.what.startswith("on_progress_tick blocks the event loop, for 0.")
    assert problem.hint == "await it, or call it by asyncio.to_thread"


def test_what_waits_or_works_in_a_thread_does_not_block(install: Install) -> None:
    """Its time is not the loop's."""
    hook = "@hookimpl\nasync def on_progress_tick(lesson):\n"
    body = "    import asyncio\n    await asyncio.to_thread(time.sleep, 0.3)\n"
    install("patient", f"{HEAD}{hook}{body}")
    assert list(rehearse(tutor("patient"))) == []


def test_a_hook_that_fails_is_found_once(install: Install) -> None:
    """However often it is called."""
    install("failing", f"{HEAD}@hookimpl\nasync def on_progress_tick(lesson):\n    return 1 / 0\n")
    [problem] = rehearse(tutor("failing"))
    assert problem.where == f"tutor_failing.py:{HEAD.count(chr(10)) + 3}"
    assert problem.what.startswith("on_progress_tick: raised ZeroDivisionError")


def test_a_sound_tutor_has_no_problems() -> None:
    """One that is published."""
    assert list(rehearse(tutor("grammar", settings={"questions": 2}, language="es"))) == []


@pytest.mark.parametrize(
    ("does", "limit", "what"),
    [
        ("os._exit(3)", 60, "a lesson with it ended the process (exit status 3)"),
        ("time.sleep(60)", 0.5, "a lesson with it did not end within 0.5 s"),
    ],
    ids=["exits", "hangs"],
)
def test_a_tutor_that_takes_its_process_along_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, limit: float, what: str
) -> None:
    """The process is not the author's."""
    monkeypatch.chdir(tmp_path)
    source = f"import os, time\nfrom livekit.agents import Agent\nclass Mine(Agent): {does}\n"
    Path("rude_agent.py").write_text(source, "utf-8")
    found = tutor("rude", plugin=None, agent="rude_agent:Mine")
    [problem] = find_problems_in_lesson(found, os.environ, limit=limit)
    assert problem.what == what

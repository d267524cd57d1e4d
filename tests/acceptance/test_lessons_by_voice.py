"""The project's tutors and README's in one host, heard by learners who speak, until it stops."""

import asyncio
import os
import signal
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
import yaml
from tests.acceptance.test_readme import TUTOR_YAML, block, install_readme_tutor
from tests.acceptance.voices import ROOT, arrived, join

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LEARNER, LessonHeard, Spoke
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400, func_only=True),
]

ANA, CHLOE = "user_ana", "user_chloe"
LINES = (
    "¿Cómo se pronuncia ciudad?",
    "El tren llega a la ciudad.",
    "Una mesa para dos personas.",
    "Quiero tomar un café con leche.",
)
"""What Ana says: to her tutor, to the specialist that it calls, and to her tutor again."""

GOODBYES = ("pronto", "próxima")
AT_ONCE = 1.0
"""Seconds for which two tutors may be heard at once: what is on its way when one falls silent, and
what a machine that stalls delivers late; healthy runs have none."""

LESSON_SECONDS = 240.0
"""Seconds after which both learners have left, whether they were taught or not."""

DRAIN_SECONDS = 60.0
"""So little that tutors are told at once, and come to an end after the next reply."""


@dataclass(frozen=True, slots=True)
class TaughtLessons:
    """Two lessons of a host that was told to stop, and what is left of them.

    Attributes:
        handed_off: Ana's, whose tutor called a specialist, and was then told to stop.
        readme: Chloe's, by README's tutor.
        visit: The id of Ana's visit.
        records: What the API received of Ana.
        log: The host's, to its end.
    """

    handed_off: LessonHeard
    readme: LessonHeard
    visit: str
    records: list[dict[str, Any]]
    log: HostLog


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taught(tmp_path_factory: pytest.TempPathFactory, speech_url: str) -> TaughtLessons:
    """Run a host until it has taught two lessons and was told to stop in one of them."""
    directory = tmp_path_factory.mktemp("host")
    async with local_parts(print, speech_url) as parts:
        config = configure(directory, parts)
        site = install_readme_tutor(directory / "site")
        paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        with_tutor = replace(parts, environ=parts.environ | {"PYTHONPATH": paths})
        async with run_host_process(config, with_tutor, print) as log:
            await log.until("host.ready")
            return await teach(parts, log, config)


def configure(directory: Path, parts: Parts) -> Path:
    """Write a configuration that has README's tutor, and lessons that have some time to end."""
    config = directory / "config"
    write_config(ROOT / "config", config, parts.speech_url, tick_every=2)
    (directory / TUTOR_YAML).write_text(block("yaml"), "utf-8")
    overlay = config / "environments" / "development.yaml"
    written = yaml.safe_load(overlay.read_text())
    written["lessons"]["drain_timeout"] = DRAIN_SECONDS
    overlay.write_text(yaml.safe_dump(written, allow_unicode=True))
    return config


async def teach(parts: Parts, log: HostLog, config: Path) -> TaughtLessons:
    """Teach two learners side by side; stop once README's tutor and the specialist are done."""
    tutor = yaml.safe_load(block("yaml"))
    name, phrases = tutor["agent_name"], tuple(tutor["settings"]["phrases"])
    ana = await join(parts, ANA, "handoff")
    chloe = await join(parts, CHLOE, "readme", agent_name=name)
    async with asyncio.timeout(LESSON_SECONDS), asyncio.TaskGroup() as tasks:
        readme = tasks.create_task(run(parts, chloe, phrases, answers=name, limit=150))
        handed_off = tasks.create_task(run(parts, ana, LINES, settle=4.0, limit=200))
        await log.until("lesson.recorded", "all_repeated")
        await log.until("handoff.finished", "outcome=taught")
        os.killpg(group_of(config), signal.SIGTERM)
    await log.until("the host has ended")
    records = await arrived(parts, "sessions", ANA)
    return TaughtLessons(handed_off.result(), readme.result(), ana["session_id"], records, log)


def group_of(config: Path) -> int:
    """Return the process group of the host that runs with a configuration, and of its jobs."""
    [group] = {
        os.getpgid(one.pid)
        for one in psutil.process_iter(["cmdline"])
        if "loqua_host" in (command := one.info["cmdline"] or []) and str(config) in command
    }
    return group


async def run(
    parts: Parts, joined: dict[str, str], lines: tuple[str, ...], **how: Any
) -> LessonHeard:
    """Run a learner who says lines, with other arguments of `SyntheticLearner`."""

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, "es") for text in lines))
    return await SyntheticLearner(joined["url"], joined["token"], speak, script, **how).run()


def at_once(spoke: tuple[Spoke, ...]) -> float:
    """Return the longest time for which two tutors were heard at once."""
    tutors = [each for each in spoke if each.speaker != LEARNER]
    return max(
        (
            min(one.end, other.end) - max(one.start, other.start)
            for one in tutors
            for other in tutors
            if one.speaker < other.speaker
        ),
        default=0.0,
    )


async def test_one_tutor_is_heard_at_a_time(taught: TaughtLessons) -> None:
    """Conversation, the specialist it called, and conversation again; never both at once."""
    lesson = taught.handed_off
    for each in lesson.spoke:
        print(f"{each.start:6.2f} - {each.end:6.2f}  {each.speaker}")  # noqa: T201  # the result
    tutors = [each.speaker for each in lesson.spoke if each.speaker != LEARNER]
    turns = [speaker for speaker, _ in groupby(tutors)]
    assert turns == ["conversation", "pronunciation-specialist", "conversation"]
    assert at_once(lesson.spoke) <= AT_ONCE


async def test_the_tutor_on_one_screen_hears_a_learner_who_speaks(taught: TaughtLessons) -> None:
    """It says its next phrase after each that the learner says, and counts them."""
    written = yaml.safe_load(block("yaml"))
    transcript = taught.readme.transcript
    said = [each.text for each in transcript if each.speaker == written["agent_name"]]
    assert said == written["settings"]["phrases"]
    assert not [line for line in taught.log.lines if "TypeError" in line]


async def test_a_learner_is_taught_on_until_a_goodbye_when_all_processes_are_told_to_stop(
    taught: TaughtLessons,
) -> None:
    """No lesson is cut off, and each has one record."""
    assert taught.handed_off.ended_by == "tutor"
    said = [one for one in taught.handed_off.transcript if one.speaker != LEARNER]
    assert any(word in said[-1].text for word in GOODBYES), said
    lessons = [one["payload"]["sessionId"] for one in taught.records]
    assert lessons == [f"{taught.visit}.pronunciation-specialist", taught.visit]
    assert not [line for line in taught.log.lines if "lesson.interrupted" in line]

"""The project's tutors and README's in one host, heard by learners who speak."""

import asyncio
import math
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from tests.acceptance.test_readme import TUTOR_YAML, block, install_readme_tutor

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LEARNER, LessonHeard, Spoke, TranscriptSegment
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_host.dev.scripts import CONVERSATION

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400, func_only=True),
]

ROOT = Path(__file__).parents[2]

HANDED_OFF = ("¿Cómo se pronuncia ciudad?", "El tren llega a la ciudad.")
AT_ONCE = 1.0
"""Seconds for which two tutors may be heard at once: what is on its way when one falls silent, and
what a machine that stalls delivers late; healthy runs have none."""

STRUCK = CONVERSATION.lines[:5]
HEALTHY_LINES = 2
DOWN = {"faults": [{"kind": "outage", "answer": "closed"}]}
PATIENCE = 60.0
NOISE = 4.0
"""Seconds by which two parts of a healthy lesson on a busy machine may differ; a dead API costs
10 s."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host that has README's tutor, installed as README says, besides its own."""
    directory = tmp_path_factory.mktemp("host")
    site = install_readme_tutor(directory / "site")
    async with local_parts(print, speech_url) as parts:
        write_config(ROOT / "config", directory / "config", parts.speech_url, tick_every=2)
        (directory / TUTOR_YAML).write_text(block("yaml"), "utf-8")
        paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        with_tutor = replace(parts, environ=parts.environ | {"PYTHONPATH": paths})
        async with run_host_process(directory / "config", with_tutor, print) as log:
            await log.until("host.ready")
            yield parts, log


async def join(parts: Parts, user_id: str, room: str, **body: str) -> dict[str, str]:
    """Return the address, the token and the session id that the API gives a learner."""
    body |= {"user_id": user_id, "room_name": room}
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        answer = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status()
    return dict(answer.json())


async def run(
    parts: Parts, joined: dict[str, str], lines: tuple[str, ...], **how: Any
) -> LessonHeard:
    """Run a learner who says lines, with other arguments of `SyntheticLearner`."""

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, "es") for text in lines))
    return await SyntheticLearner(joined["url"], joined["token"], speak, script, **how).run()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def heard(host: tuple[Parts, HostLog]) -> dict[str, LessonHeard]:
    """Return two lessons that were taught side by side: one handed off, one by README's tutor."""
    parts, _ = host
    handed_off = await join(parts, "user_ana", "handoff")
    written = yaml.safe_load(block("yaml"))
    name, phrases = written["agent_name"], tuple(written["settings"]["phrases"])
    readme = await join(parts, "user_ana", "readme", agent_name=name)
    async with asyncio.TaskGroup() as tasks:
        lessons = {
            "handoff": tasks.create_task(run(parts, handed_off, HANDED_OFF, settle=5.0, limit=150)),
            "readme": tasks.create_task(run(parts, readme, phrases, answers=name, limit=150)),
        }
    return {name: task.result() for name, task in lessons.items()}


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


async def test_one_tutor_is_heard_at_a_time(
    host: tuple[Parts, HostLog], heard: dict[str, LessonHeard]
) -> None:
    """Conversation, the specialist it called, and conversation again; never both at once."""
    lesson = heard["handoff"]
    for each in lesson.spoke:
        print(f"{each.start:6.2f} - {each.end:6.2f}  {each.speaker}")  # noqa: T201  # the result
    tutors = [each.speaker for each in lesson.spoke if each.speaker != LEARNER]
    turns = [speaker for speaker, _ in groupby(tutors)]
    assert turns == ["conversation", "pronunciation-specialist", "conversation"]
    assert at_once(lesson.spoke) <= AT_ONCE
    assert lesson.ended_by == "learner"
    await host[1].until("handoff.finished", "outcome=taught")


async def test_the_tutor_on_one_screen_hears_a_learner_who_speaks(
    host: tuple[Parts, HostLog], heard: dict[str, LessonHeard]
) -> None:
    """It says its next phrase after each that the learner says, and counts them."""
    log, written = host[1], yaml.safe_load(block("yaml"))
    await log.until("lesson.recorded", "all_repeated")
    transcript = heard["readme"].transcript
    said = [each.text for each in transcript if each.speaker == written["agent_name"]]
    assert said == written["settings"]["phrases"]
    assert not [line for line in log.lines if "TypeError" in line]


@dataclass(slots=True)
class Middle:
    """The middle of a learner's lesson.

    Attributes:
        began: The loop's time at which the learner began to join.
        reached: Set when some lines have been understood.
    """

    began: float = 0.0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _understood: int = 0

    def note(self, heard: TranscriptSegment) -> None:
        """Count the lines that were understood."""
        self.began = _now() - heard.at
        self._understood += heard.speaker == LEARNER
        if self._understood == HEALTHY_LINES:
            self.reached.set()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def strike(parts: Parts, log: HostLog, room: str, middle: Middle) -> float:
    """Take the API down amid a lesson until it was felt; return when that was in the lesson."""
    await middle.reached.wait()
    struck = _now() - middle.began
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        (await api.put("/dev/faults", json=DOWN)).raise_for_status()
        await log.until("lesson.mode_changed", "mode=cache", f"room={room}")
        (await api.delete("/dev/faults")).raise_for_status()
    return struck


async def records_of(parts: Parts, visits: set[str]) -> list[dict[str, Any]]:
    """List the session records of visits that the API has."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        arrived = (await api.get("/dev/records")).raise_for_status().json()
    payloads = [session["payload"] for session in arrived["sessions"]]
    return [payload for payload in payloads if payload["sessionId"] in visits]


def part(lesson: LessonHeard, since: float, until: float) -> tuple[float, float]:
    """Return the median reply and the longest silence in a part of a lesson, in seconds.

    A part without a reply has one that takes for ever.
    """
    lines = [one.start for one in lesson.spoke if one.speaker == LEARNER]
    known = [
        seconds
        for start, seconds in zip(lines, lesson.reply_latencies, strict=True)
        if seconds is not None and since <= start < until
    ]
    spoke = tuple(one for one in lesson.spoke if since <= one.start < until)
    return median(known or [math.inf]), replace(lesson, spoke=spoke).longest_gap


async def test_an_outage_during_a_lesson_is_not_heard_and_loses_nothing(
    host: tuple[Parts, HostLog],
) -> None:
    """No longer silence than before it; down and up reach the tutor; one record."""
    (parts, log), visits = host, set[str]()
    for room in ("struck-1", "struck-2", "struck-3"):  # a machine that stalls blurs a comparison
        joined, middle = await join(parts, CONVERSATION.user_id, room), Middle()
        visits.add(joined["session_id"])
        async with asyncio.TaskGroup() as tasks:
            striking = tasks.create_task(strike(parts, log, room, middle))
            lesson = await run(parts, joined, STRUCK, on_heard=middle.note)
        async with asyncio.timeout(PATIENCE):
            await log.until("lesson.mode_changed", "mode=full", f"room={room}")
        struck = striking.result()
        halves = zip(part(lesson, 0, struck), part(lesson, struck, math.inf), strict=True)
        if all(after <= before + NOISE < math.inf for before, after in halves):
            break
    else:
        pytest.fail(f"{lesson} was another one after {struck:.1f} s, when the API went down")

    async with asyncio.timeout(60):
        while len(records := await records_of(parts, visits)) < len(visits):  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.5)
    assert len({record["sessionId"] for record in records}) == len(records)
    assert all(record["duration_minutes"] > 0 for record in records)

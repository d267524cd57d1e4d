"""The handoff heard: who spoke when, by the sound that reached the learner's ears."""

from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LEARNER, LessonHeard, Spoke
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config

pytestmark = pytest.mark.timeout(300, func_only=True)

ROOT = Path(__file__).parents[2]
USER = "user_ana"
LINES = ("¿Cómo se pronuncia ciudad?", "El tren llega a la ciudad.")
AT_ONCE = 1.0
"""Seconds for which two tutors may be heard at once: what is on its way when one falls silent, and
what a machine that stalls delivers late; healthy runs have none."""


@pytest.fixture
async def host(tmp_path: Path, speech_url: str) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Yield local parts and a host."""
    async with local_parts(print, speech_url) as parts:
        write_config(ROOT / "config", tmp_path / "config", parts.speech_url, tick_every=2)
        async with run_host_process(tmp_path / "config", parts, print) as log:
            await log.until("host.ready")
            yield parts, log


async def attend(parts: Parts) -> LessonHeard:
    """Enter as a learner who asks how a word is said, and say it to whoever asks for it."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        body = {"user_id": USER, "room_name": "handoff"}
        joined = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, "es") for text in LINES))
    learner = SyntheticLearner(
        joined["url"], joined["token"], speak, script, on_heard=print, settle=5.0, limit=150
    )
    return await learner.attend()


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


async def test_one_tutor_is_heard_at_a_time(host: tuple[Parts, HostLog]) -> None:
    """Conversation, the specialist it called, and conversation again; never both at once."""
    parts, log = host
    lesson = await attend(parts)
    for each in lesson.spoke:
        print(f"{each.start:6.2f} - {each.end:6.2f}  {each.speaker}")  # noqa: T201  # the result
    tutors = [each.speaker for each in lesson.spoke if each.speaker != LEARNER]
    turns = [speaker for speaker, _ in groupby(tutors)]
    assert turns == ["conversation", "pronunciation-specialist", "conversation"]
    assert at_once(lesson.spoke) <= AT_ONCE
    assert lesson.ended_by == "learner"
    await log.until("handoff.finished", "outcome=taught")

"""The API goes down in the middle of a lesson and comes back; the learner hears none of it."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LessonHeard
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_host.dev.scripts import CONVERSATION

pytestmark = pytest.mark.timeout(400, func_only=True)

ROOT = Path(__file__).parents[2]
LINES = CONVERSATION.lines[:3]
DOWN = {"faults": [{"kind": "outage", "answer": "closed"}]}
PATIENCE = 60.0
NOISE = 4.0
"""Seconds by which two healthy lessons on a busy machine may differ; a dead API costs 10 s."""


@pytest.fixture
async def host(tmp_path: Path, speech_url: str) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Yield local parts and a host that ticks every two seconds."""
    async with local_parts(print, speech_url) as parts:
        write_config(ROOT / "config", tmp_path / "config", parts.speech_url, tick_every=2)
        async with run_host_process(tmp_path / "config", parts, print) as log:
            await log.until("host.ready")
            yield parts, log


async def attend(parts: Parts, room: str) -> LessonHeard:
    """Attend a short lesson in a room, as a learner."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        body = {"user_id": CONVERSATION.user_id, "room_name": room}
        joined = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, CONVERSATION.language) for text in LINES))
    return await SyntheticLearner(joined["url"], joined["token"], speak, script).attend()


@asynccontextmanager
async def outage(parts: Parts, log: HostLog, room: str) -> AsyncIterator[None]:
    """Take the API down once the room's lesson runs, and bring it back when the lesson felt it."""

    async def strike() -> None:
        async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
            await log.until("lesson.opened", f"room={room}")
            (await api.put("/dev/faults", json=DOWN)).raise_for_status()
            await log.until("lesson.mode_changed", "mode=cache", f"room={room}")
            (await api.delete("/dev/faults")).raise_for_status()

    striking = asyncio.create_task(strike())
    yield
    async with asyncio.timeout(PATIENCE):
        await striking


async def records_of(parts: Parts) -> list[dict[str, Any]]:
    """List the session records that the API has."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        arrived = (await api.get("/dev/records")).raise_for_status().json()
    return [session["payload"] for session in arrived["sessions"]]


def replies(lesson: LessonHeard) -> list[float]:
    """Return the seconds after which the tutor replied; for ever where most lines have no reply."""
    known = [seconds for seconds in lesson.reply_latencies if seconds is not None]
    return known if len(known) >= len(LINES) - 1 else [math.inf]


async def test_an_outage_during_a_lesson_is_not_heard_and_loses_nothing(
    host: tuple[Parts, HostLog],
) -> None:
    """No longer silence than in a healthy lesson; down and up reach the tutor; one record each."""
    parts, log = host
    for lessons in (2, 4, 6):  # a machine that stalls blurs a comparison
        log.lines.clear()
        healthy = await attend(parts, f"healthy-{lessons}")
        async with outage(parts, log, f"struck-{lessons}"):
            struck = await attend(parts, f"struck-{lessons}")
        async with asyncio.timeout(PATIENCE):
            await log.until("lesson.mode_changed", "mode=full", f"room=struck-{lessons}")
        if sounds_like(struck, healthy):
            break
    else:
        pytest.fail(f"{struck} is not like {healthy}")

    async with asyncio.timeout(60):
        while len(records := await records_of(parts)) < lessons:  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.5)
    assert len({record["sessionId"] for record in records}) == lessons
    assert all(record["duration_minutes"] > 0 for record in records)


def sounds_like(struck: LessonHeard, healthy: LessonHeard) -> bool:
    """Return whether the tutor of one lesson was silent for no longer than that of another."""
    return (
        struck.longest_gap <= healthy.longest_gap + NOISE
        and median(replies(struck)) <= median(replies(healthy)) + NOISE < math.inf
    )

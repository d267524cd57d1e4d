"""SIGTERM in the middle of three lessons, by voice: what learners hear, and what is recorded."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LEARNER, LessonHeard
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_host.dev.scripts import CONVERSATION

pytestmark = pytest.mark.timeout(300, func_only=True)

ROOT = Path(__file__).parents[2]
DRAIN_SECONDS = 40.0
"""So little that tutors are told at once, and come to an end after the next reply."""
ANA, BEN, CHLOE = "user_ana", "user_ben", "user_chloe"
SAID = {
    ANA: Script(tuple(Line(text, "es") for text in CONVERSATION.lines * 5)),
    BEN: Script(tuple(Line(text, "en") for text in ("I like to read books.",) * 25)),
    CHLOE: Script(tuple(Line(text, "es") for text in CONVERSATION.lines[:2])),
}
GOODBYES = {"es": ("pronto", "próxima"), "en": ("soon", "next time")}


def configure(directory: Path, parts: Parts) -> Path:
    """Write a configuration whose lessons have so many seconds to end."""
    config = directory / "config"
    write_config(ROOT / "config", config, parts.speech_url, tick_every=2)
    overlay = config / "environments" / "development.yaml"
    written = yaml.safe_load(overlay.read_text())
    written["lessons"]["drain_timeout"] = DRAIN_SECONDS
    overlay.write_text(yaml.safe_dump(written, allow_unicode=True))
    return config


async def run(parts: Parts, user_id: str) -> LessonHeard:
    """Speak a learner's lines, or as many as the tutor stays for."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        body = {"user_id": user_id, "room_name": f"room-{user_id.replace('_', '-')}"}
        joined = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    learner = SyntheticLearner(joined["url"], joined["token"], speak, SAID[user_id])
    return await learner.run()


async def sessions(parts: Parts) -> list[dict[str, Any]]:
    """List the session records that the API has."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        arrived = (await api.get("/dev/records")).raise_for_status().json()
    return [session["payload"] for session in arrived["sessions"]]


def group_of(config: Path) -> int:
    """Return the process group of the host that runs with a configuration, and of its jobs."""
    [group] = {
        os.getpgid(one.pid)
        for one in psutil.process_iter(["cmdline"])
        if "loqua_host" in (command := one.info["cmdline"] or []) and str(config) in command
    }
    return group


async def stop_in_the_middle(log: HostLog, config: Path) -> float:
    """Send SIGTERM to the host's group once all are taught; return how long it took to be gone."""
    for user_id in SAID:
        await log.until("lesson.opened", f"[{user_id}]")
    for user_id in SAID:
        await log.until("progress.made", f"[{user_id}]")
    os.killpg(group_of(config), signal.SIGTERM)
    began = asyncio.get_running_loop().time()
    while log.lines[-1] != "the host has ended":
        log._changed.clear()
        await log._changed.wait()
    return asyncio.get_running_loop().time() - began


async def test_learners_are_taught_on_until_a_goodbye_when_all_processes_are_told_to_stop(
    tmp_path: Path, speech_url: str
) -> None:
    """Nobody is cut off, each has a reply, and each lesson has its one record."""
    async with local_parts(print, speech_url) as parts:
        config = configure(tmp_path, parts)
        async with run_host_process(config, parts, print) as log:
            await log.until("host.ready")
            async with asyncio.TaskGroup() as tasks:
                stopping = tasks.create_task(stop_in_the_middle(log, config))
                heard = {one: tasks.create_task(run(parts, one)) for one in SAID}
        arrived = await sessions(parts)
    lessons = {user_id: task.result() for user_id, task in heard.items()}
    for user_id in (ANA, BEN):
        said = [one for one in lessons[user_id].transcript if one.speaker != LEARNER]
        words = GOODBYES[SAID[user_id].lines[0].language]
        assert any(word in said[-1].text for word in words), said
    for lesson in lessons.values():
        first, *_ = lesson.reply_latencies  # a line near the goodbye may have no other reply
        assert first is not None
    assert stopping.result() <= DRAIN_SECONDS + 5
    assert len({one["sessionId"] for one in arrived}) == len(arrived) == len(SAID)
    assert not [line for line in log.lines if "lesson.interrupted" in line]

"""README's tutor, installed as README says and heard by a learner who speaks."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml
from tests.acceptance.test_readme import TUTOR_YAML, block, install_readme_tutor

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.hearing import LessonHeard
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config

pytestmark = pytest.mark.timeout(300, func_only=True)

ROOT = Path(__file__).parents[2]
USER = "user_ana"


@pytest.fixture
async def host(tmp_path: Path, speech_url: str) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host that has README's tutor besides its own."""
    site = install_readme_tutor(tmp_path / "site")
    async with local_parts(print, speech_url) as parts:
        write_config(ROOT / "config", tmp_path / "config", parts.speech_url, tick_every=2)
        (tmp_path / TUTOR_YAML).write_text(block("yaml"), "utf-8")
        paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        with_tutor = replace(parts, environ=parts.environ | {"PYTHONPATH": paths})
        async with run_host_process(tmp_path / "config", with_tutor, print) as log:
            await log.until("host.ready")
            yield parts, log
    shutil.rmtree(site)


async def attend(parts: Parts, agent_name: str, lines: list[str]) -> LessonHeard:
    """Say each line to the tutor, as a learner."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        body = {"user_id": USER, "room_name": "readme", "agent_name": agent_name}
        joined = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, "es") for text in lines))
    learner = SyntheticLearner(
        joined["url"], joined["token"], speak, script, answers=agent_name, limit=120
    )
    return await learner.attend()


async def test_the_tutor_on_one_screen_hears_a_learner_who_speaks(
    host: tuple[Parts, HostLog],
) -> None:
    """It says its next phrase after each that the learner says, and counts them."""
    parts, log = host
    written = yaml.safe_load(block("yaml"))
    phrases = written["settings"]["phrases"]
    heard = await attend(parts, written["agent_name"], phrases)
    await log.until("lesson.recorded", "all_repeated")
    said = [each.text for each in heard.transcript if each.speaker == written["agent_name"]]
    assert said == phrases
    assert not [line for line in log.lines if "TypeError" in line]

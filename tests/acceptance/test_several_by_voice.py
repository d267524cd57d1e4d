"""Two learners who speak with one tutor: who said what is known to it and written in the room."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.acceptance.voices import entered, host_of

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import Parts

pytestmark = pytest.mark.timeout(300, func_only=True)

TUTOR = """
from livekit.agents import Agent, StopResponse

from loqua_host import Turns, Tutor, hookimpl


class Listener(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson = lesson
        self.turns = Turns()
        self.number = 0

    async def on_user_turn_completed(self, turn_ctx, new_message):
        turn = self.turns.add(new_message, None)
        self.number += 1
        self.lesson.log.info("several.heard", number=self.number, learner=turn.learner.user_id)
        raise StopResponse


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="several")

    @hookimpl
    async def create_agent(self, lesson):
        return Listener(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("several.ready")

    @hookimpl
    async def on_progress_tick(self, lesson):
        lesson.log.info("several.tick", others=len(lesson.others))


plugin = Plugin()
"""


@pytest.fixture
async def host(tmp_path: Path, speech_url: str) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host whose one tutor hears everyone."""
    async with host_of(tmp_path, speech_url, "several", TUTOR, audio_input="all") as running:
        yield running


async def test_a_tutor_that_hears_everyone_knows_who_of_them_speaks(
    host: tuple[Parts, HostLog],
) -> None:
    """One after the other, and the louder of two at once; transcripts in the room say so."""
    parts, log = host
    texts = ("Buenos días, me llamo María.", "Quiero un café con leche, por favor.")
    hello, coffee = [await synthesise_line(f"{parts.speech_url}/v1", text, "es") for text in texts]
    async with entered(parts, "user_maria", "several") as maria:
        await log.until("several.ready")
        async with entered(parts, "user_ana", "several") as ana:
            maria.follow()
            await log.until("several.tick", "others=1")
            await asyncio.sleep(1)  # both microphones are subscribed to
            await maria.say(hello)
            await log.until("several.heard", "number=1", "learner=user_maria")
            await ana.say(coffee)
            await log.until("several.heard", "number=2", "learner=user_ana")
            await asyncio.gather(maria.say(coffee, 0.1), ana.say(coffee))
            await log.until("several.heard", "number=3", "learner=user_ana")
            await maria.say(hello)
            await asyncio.sleep(1)  # while that is still recognised
            await ana.say(coffee)
            spoken = [maria, ana, ana, maria, ana]
            await maria.until_transcripts(len(spoken))
            written = [(one.identity, one.track) for one in maria.transcripts]
            assert written == [(one.identity, one.track) for one in spoken]

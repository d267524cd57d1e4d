"""Learners who speak as pages and people do: by any track, and until they leave."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import rtc
from tests.acceptance.voices import arrived, entered, host_of

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import SAMPLE_RATE, synthesise
from loqua_host.dev.parts import Parts

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300, func_only=True)]

ORDER = "Quiero un café con leche, por favor."

TUTOR = """
from livekit.agents import Agent, StopResponse

from loqua_host import LessonReport, Progress, Tutor, hookimpl


class Waiter(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(self, turn_ctx, new_message):
        orders(self.lesson).append(new_message.text_content)
        self.lesson.log.info("waiter.heard", number=len(orders(self.lesson)))
        raise StopResponse


def orders(lesson):
    return lesson.state.setdefault("orders", [])


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="waiter")

    @hookimpl
    async def create_agent(self, lesson):
        return Waiter(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("waiter.ready")

    @hookimpl
    async def on_progress_tick(self, lesson):
        return Progress(phrases_practiced=len(orders(lesson)))

    @hookimpl
    async def on_session_end(self, lesson):
        done = Progress(phrases_practiced=len(orders(lesson)))
        return LessonReport(progress=done, topics_covered=tuple(orders(lesson)))


plugin = Plugin()
"""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host whose tutor notes what it hears."""
    async with host_of(tmp_path, "waiter", TUTOR) as running:
        yield running


async def test_a_learner_is_heard_whatever_their_microphone_is_published_as(
    host: tuple[Parts, HostLog],
) -> None:
    """Several SDKs publish a track without a source, unless they are told better."""
    parts, log = host
    unknown = rtc.TrackSource.SOURCE_UNKNOWN
    async with entered(parts, "user_maria", "unknown", unknown) as maria:
        await log.until("waiter.ready")
        await maria.say(await synthesise(f"{parts.speech_url}/v1", ORDER, "es"))
        await log.until("waiter.heard", "number=1")


async def test_what_a_learner_was_saying_as_they_left_is_in_progress_and_record(
    host: tuple[Parts, HostLog],
) -> None:
    """They leave in the middle of a word: what could be recognised by then counts."""
    parts, log = host
    order = await synthesise(f"{parts.speech_url}/v1", ORDER, "es")
    async with entered(parts, "user_ana", "leaving") as ana:
        await log.until("waiter.ready")
        await ana.say(order[: int(1.6 * SAMPLE_RATE) * 2])
    await log.until("record.delivered")
    [record] = await arrived(parts, "sessions", "user_ana")
    last = (await arrived(parts, "progress", "user_ana"))[-1]
    assert "café" in record["payload"]["topics_covered"][0]
    assert last["payload"]["data"]["progress"]["phrases_practiced"] == 1

"""The voice session of a lesson and its engines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import NOT_GIVEN, Agent, LanguageCode, inference

from loqua_host.job.voice.session import (
    HESITATION,
    apologise,
    build_session,
    close_voice,
    say_out,
)
from loqua_host.settings.engines import Engines


@pytest.mark.parametrize("several", [True, False])
async def test_a_model_is_asked_ahead_where_one_learner_is_heard_alone(*, several: bool) -> None:
    """Of several it has to be known first who spoke, and that is known when the turn is over."""
    session = build_session(Engines(), "es", {}, several=several)
    assert session.options.preemptive_generation["enabled"] is not several


async def test_a_learner_who_hesitates_has_to_sound_more_finished_than_a_native_speaker() -> None:
    """LiveKit's calibrated thresholds, each raised by the same factor."""
    detector: Any = build_session(Engines(), "es", {}).turn_detection
    plain = inference.TurnDetector(version="v1-mini")
    for language in map(LanguageCode, ("es", "en", "it")):
        usual = await plain.unlikely_threshold(language)
        assert usual is not None
        assert await detector.unlikely_threshold(language) == pytest.approx(HESITATION * usual)


class OneClipTTS:
    """A text-to-speech engine with one clip of audio."""

    @contextlib.asynccontextmanager
    async def synthesize(self, text: str) -> AsyncIterator[AsyncIterator[Any]]:
        """Yield the text as its own sound."""

        async def pieces() -> AsyncIterator[Any]:
            yield SimpleNamespace(frame=text)

        yield pieces()


class Mumbling(Agent):
    """An agent with a `tts_node` of its own."""

    async def tts_node(self, text: Any, model_settings: Any) -> Any:  # noqa: ARG002  # as LiveKit has it
        """Fail."""
        raise ValueError
        yield


class SayingSession:
    """A session that records the texts that it is to say."""

    def __init__(self, agent: Agent) -> None:
        self.current_agent = agent
        self.tts = OneClipTTS()
        self.said: dict[str, Any] = {}

    def say(self, text: str, **options: Any) -> Any:
        """Take a sentence."""
        self.said = {"text": text, **options}
        return SimpleNamespace(wait_for_playout=lambda: asyncio.sleep(0))


async def test_what_the_host_says_is_heard_though_the_agents_own_way_to_speak_fails() -> None:
    """Its sound is the engine's; an agent without such a way has LiveKit make it."""
    session: Any = SayingSession(Mumbling(instructions=""))
    await say_out(session, "Lo siento.")
    assert [frame async for frame in session.said["audio"]] == ["Lo siento."]
    apologise(session, "¿Perdona?")
    assert [frame async for frame in session.said["audio"]] == ["¿Perdona?"]
    assert session.said["add_to_chat_ctx"] is False  # it is no part of the conversation
    session.current_agent = Agent(instructions="")
    await say_out(session, "Adiós.")
    assert session.said["audio"] is NOT_GIVEN


async def test_a_session_that_fails_to_close_keeps_no_lesson_from_its_record() -> None:
    """The record matters more."""
    session: Any = SimpleNamespace(current_speech=None, aclose=_fail)
    await close_voice(session, None)


async def _fail() -> None:
    raise ValueError

"""The voice session of a lesson, from the engines that config names."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, AgentSession, inference, tts
from livekit.agents.llm import RealtimeModel
from livekit.agents.types import NotGivenOr
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.job.engines.build import EngineWatch, build_engines
from loqua_host.link.messages import ENGINE_KINDS
from loqua_host.livekit_internals import sharing_certificates
from loqua_host.settings.engines import Engines
from loqua_host.system.tasks import within

from .audio_input import MixedAudioInput

__all__ = [
    "LessonSession",
    "apologise",
    "build_session",
    "close_voice",
    "commit_turn",
    "hear_out",
    "say_out",
    "switch",
    "take_last_words",
]

log = logging.getLogger(__name__)

SAY_SECONDS = 15.0
"""A voice that does not answer is replaced after 5."""

HEARD_OUT_SECONDS = 10.0
CLOSE_SECONDS = 5.0

PENDING_SECONDS = 0.5
"""How long a final transcript is waited for that is on its way when a lesson stops listening."""

CUT_OFF_SECONDS = 3.0
"""The same where the learner is in the middle of a sentence: the recogniser only begins then."""

LAST_TURN_SECONDS = 5.0
"""How long a lesson waits at most until the agent has the learner's last words."""


class LessonSession(AgentSession[Any]):
    """LiveKit's session, in which a tutor's handler of an event costs nobody else that event."""

    def emit(self, event: Any, *args: Any) -> None:
        """Call each handler by itself: LiveKit raises a TypeError at whoever caused the event."""
        for handler in list(self._events.get(event, ())):
            one: EventEmitter[Any] = EventEmitter()
            one.on(event, handler)
            try:
                one.emit(event, *args)
            except TypeError:
                log.exception("handler of an event failed")


def build_session(
    engines: Engines,
    language: str,
    secrets: Mapping[str, str],
    *,
    several: bool = False,
    watch: EngineWatch | None = None,
) -> "AgentSession[None]":
    """Build the session, not started yet.

    Args:
        engines: What hears, thinks and speaks; an absent one the tutor's agent brings.
        language: ISO 639-1; fills `{language}` in the engines' arguments.
        secrets: Values for the engines' secret arguments, by the secrets' names.
        several: Whether several learners are heard: the model is asked once it is known who spoke.
        watch: Told which engine of a list serves.
    """
    # A pause that the recogniser took for an end would split a sentence into two turns.
    vad = inference.VAD(model="silero", min_silence_duration=engines.turn.min_delay)
    with sharing_certificates():
        stt, llm, voice = (
            build_engines(kind, engines, language, secrets, vad=vad, watch=watch or EngineWatch())
            for kind in ENGINE_KINDS
        )
    return LessonSession(
        stt=stt,
        llm=llm,
        tts=voice,
        vad=vad,
        turn_handling={
            # The local model: the hosted one would send the learner's voice elsewhere.
            "turn_detection": inference.TurnDetector(version="v1-mini"),
            "endpointing": {
                "min_delay": engines.turn.min_delay,
                "max_delay": engines.turn.max_delay,
            },
            "preemptive_generation": {"enabled": not several},
        },
        # `take_last_words` has waited: what LiveKit commits while it closes no agent is told of.
        session_close_transcript_timeout=0.0,
    )


async def say_out(session: "AgentSession[None]", text: str) -> None:
    """Say a sentence in a started session and let it be heard, if there is a voice to do it."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        async with asyncio.timeout(SAY_SECONDS):
            speech = session.say(text, audio=_plain_voice(session, text), allow_interruptions=False)
            await speech.wait_for_playout()


def apologise(session: "AgentSession[None]", text: str) -> None:
    """Say that something went wrong, which is no part of the conversation."""
    with contextlib.suppress(RuntimeError):
        session.say(text, audio=_plain_voice(session, text), add_to_chat_ctx=False)


def _plain_voice(
    session: "AgentSession[None]", text: str
) -> "NotGivenOr[AsyncIterator[rtc.AudioFrame]]":
    """Return the sound of a sentence where the agent has a way of its own to make it.

    What the host says is heard even if that is what fails.
    """
    agent = session.current_agent
    if type(agent).tts_node is Agent.tts_node:
        return NOT_GIVEN
    voice = agent.tts or session.tts
    return _frames(voice, text) if voice else NOT_GIVEN


async def _frames(voice: tts.TTS[Any], text: str) -> AsyncIterator[rtc.AudioFrame]:
    async with voice.synthesize(text) as sound:
        async for piece in sound:
            yield piece.frame


def switch(session: "AgentSession[None]", *, on: bool) -> None:
    """Enable or disable a session's audio and text, as far as it has them."""
    if session.input.audio is not None:
        session.input.set_audio_enabled(on)
    if session.output.audio is not None:
        session.output.set_audio_enabled(on)
    if session.output.transcription is not None:
        session.output.set_transcription_enabled(on)


def commit_turn(session: "AgentSession[None]") -> "asyncio.Future[str] | None":
    """End the learner's turn where it is, with what the recogniser makes of it.

    For a session whose audio input is switched off: nobody else ends the turn. The agent gets it
    as any other.

    Returns:
        The words, once they are known; None from a session that does not run, and where a realtime
        model hears the learner, which ends turns by itself.
    """
    with contextlib.suppress(RuntimeError):
        model = session.current_agent.llm or session.llm
        if not isinstance(model, RealtimeModel):
            speaking = session.user_state == "speaking"
            return session.commit_user_turn(
                transcript_timeout=CUT_OFF_SECONDS if speaking else PENDING_SECONDS
            )
    return None


async def take_last_words(session: "AgentSession[None]") -> None:
    """Stop listening and speaking, and have the agent take what the learner has said until now."""
    switch(session, on=False)
    if (words := commit_turn(session)) is not None:
        with contextlib.suppress(RuntimeError):
            await within(LAST_TURN_SECONDS, _take(session, words))


async def _take(session: "AgentSession[None]", words: "asyncio.Future[str]") -> None:
    await words
    await session.wait_for_idle()


async def hear_out(session: "AgentSession[None]") -> None:
    """Wait until what is being said is over."""
    if (speech := session.current_speech) is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_OUT_SECONDS):
                await speech.wait_for_playout()


async def close_voice(session: "AgentSession[None]", ears: MixedAudioInput | None) -> bool:
    """Close all; False where something does not let go, which is left to itself."""
    # The record matters more than a voice that does not let go, or an agent that fails in it.
    try:
        return await within(CLOSE_SECONDS, _close(session, ears))
    except Exception:  # as said above
        log.exception("session did not close")
        return False


async def _close(session: "AgentSession[None]", ears: MixedAudioInput | None) -> None:
    await session.aclose()
    if ears is not None:
        await ears.aclose()

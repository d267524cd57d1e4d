"""The voice session of a lesson."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, AgentSession, inference, tts
from livekit.agents.llm import RealtimeModel
from livekit.agents.types import NotGivenOr
from livekit.agents.utils import is_given
from livekit.agents.vad import VAD
from livekit.agents.voice import SpeechHandle
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.job.engines.build import EngineWatch, build_engines
from loqua_host.job.engines.eager import EagerSTT
from loqua_host.link.messages import ENGINE_KINDS
from loqua_host.livekit_internals import raise_thresholds, sharing_certificates
from loqua_host.settings.engines import Engines
from loqua_host.system.tasks import within

from .audio_input import MixedAudioInput

__all__ = [
    "VERBATIM",
    "LessonSession",
    "apologise",
    "build_session",
    "close_voice",
    "say_message",
    "say_out",
    "switch",
    "wait_for_playout",
]

log = logging.getLogger(__name__)

SAY_SECONDS = 15.0
"""Maximum seconds for a sentence of the host; an unresponsive engine is replaced after 5 s."""

HESITATION = 1.35
"""Factor of the turn detector's thresholds, which are made for fluent speakers. `turn_ends` and the
delays of `engines.turn` do the rest: tests/bench/turn_ends.py measures them together."""

HEARD_OUT_SECONDS = 10.0
CLOSE_SECONDS = 5.0

VERBATIM = "Say only the following sentence, word by word: "
"""The instruction to a model that speaks by itself, if nothing else can say the host's messages."""


class LessonSession(AgentSession[Any]):
    """LiveKit's session, in which a failing event handler does not affect other handlers."""

    def emit(self, event: Any, *args: Any) -> None:
        """Call each handler separately: LiveKit raises a handler's TypeError to the emitter."""
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
    """Build the session without starting it.

    Args:
        engines: The configured engines; the tutor's agent provides missing ones.
        language: The ISO 639-1 code that replaces `{language}` in the engines' arguments.
        secrets: Values of the engines' secret arguments, by the secrets' names.
        several: Whether several learners are heard. The model then replies only after the speaker
            is known.
        watch: The observer of engines in lists.
    """
    # Otherwise, a pause that the recogniser takes for an end would split a sentence.
    vad = inference.VAD(model="silero", min_silence_duration=engines.turn.min_delay)
    with sharing_certificates():
        stt, llm, voice = (
            build_engines(kind, engines, language, secrets, vad=vad, watch=watch or EngineWatch())
            for kind in ENGINE_KINDS
        )
    return LessonSession(
        stt=_eager(stt, vad),
        llm=llm,
        tts=voice,
        vad=vad,
        turn_handling={
            "turn_detection": _turn_detection(llm),
            "endpointing": {
                "min_delay": engines.turn.min_delay,
                "max_delay": engines.turn.max_delay,
            },
            "preemptive_generation": {"enabled": not several},
        },
        # `LastWords` has waited, because agents do not get what LiveKit commits on closing.
        session_close_transcript_timeout=0.0,
    )


def _eager(recogniser: Any, vad: VAD) -> Any:
    """Make an engine that does not stream begin in a pause."""
    if not is_given(recogniser) or recogniser.capabilities.streaming:
        return recogniser
    return EagerSTT(stt=recogniser, vad=vad)


def _turn_detection(model: object) -> "inference.TurnDetector | Literal['realtime_llm']":
    if isinstance(model, RealtimeModel) and model.capabilities.turn_detection:
        return "realtime_llm"
    # The local model, because the hosted one would send the learner's voice elsewhere.
    detector = inference.TurnDetector(version="v1-mini")
    raise_thresholds(detector, HESITATION)
    return detector


async def say_out(session: "AgentSession[None]", text: str) -> None:
    """Speak a sentence in a started session, if there is a voice, and wait until it is played."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SAY_SECONDS):
            if (speech := say_message(session, text, allow_interruptions=False)) is not None:
                await speech.wait_for_playout()


def apologise(session: "AgentSession[None]", text: str) -> None:
    """Announce that something went wrong, without adding it to the chat context."""
    say_message(session, text, add_to_chat_ctx=False)


def say_message(session: "AgentSession[None]", text: str, **options: bool) -> SpeechHandle | None:
    """Speak a sentence of the host, with whatever voice the session has.

    A realtime model that cannot say a given text is asked to; it may put it in other words.

    Args:
        session: The session.
        text: The sentence.
        options: Options of LiveKit's `say`.

    Returns:
        The speech, or None if the session has no voice or does not run.
    """
    with contextlib.suppress(RuntimeError):
        if _speaks_by_itself(session):
            return session.generate_reply(instructions=VERBATIM + text, tool_choice="none")
        return session.say(text, audio=_plain_voice(session, text), **options)
    return None


def _speaks_by_itself(session: "AgentSession[None]") -> bool:
    """Return whether nothing but a realtime model gives a session its voice."""
    if session.current_agent.tts or session.tts:
        return False
    model = session.current_agent.llm or session.llm
    return isinstance(model, RealtimeModel) and not model.capabilities.supports_say


def _plain_voice(
    session: "AgentSession[None]", text: str
) -> "NotGivenOr[AsyncIterator[rtc.AudioFrame]]":
    """Return the audio of a sentence from the session's own engine if the agent has a `tts_node`.

    The host's messages are thus heard even if the agent's node fails.
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
    """Enable or disable a session's audio and text."""
    if session.input.audio is not None:
        session.input.set_audio_enabled(on)
    if session.output.audio is not None:
        session.output.set_audio_enabled(on)
    if session.output.transcription is not None:
        session.output.set_transcription_enabled(on)


async def wait_for_playout(session: "AgentSession[None]") -> None:
    """Wait until the current speech is over."""
    if (speech := session.current_speech) is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_OUT_SECONDS):
                await speech.wait_for_playout()


async def close_voice(session: "AgentSession[None]", mixed_audio: MixedAudioInput | None) -> bool:
    """Close session and audio; return False if that takes too long or fails."""
    try:
        return await within(CLOSE_SECONDS, _close(session, mixed_audio))
    except Exception:  # see the docstring
        log.exception("session did not close")
        return False


async def _close(session: "AgentSession[None]", mixed_audio: MixedAudioInput | None) -> None:
    await session.aclose()
    if mixed_audio is not None:
        await mixed_audio.aclose()

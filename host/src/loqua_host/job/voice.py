"""The voice session of a lesson, from the engines that config names."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from livekit.agents import NOT_GIVEN, AgentSession, inference

from loqua_host.contract.engines import Engine, Engines
from loqua_host.registry.loader import import_string

from .ears import Ears
from .tls import sharing_context

__all__ = ["build_session", "close_voice", "say_out", "switch"]

SAY_SECONDS = 10.0
HEARD_OUT_SECONDS = 10.0
CLOSE_SECONDS = 5.0


def build_session(
    engines: Engines, language: str, secrets: Mapping[str, str]
) -> "AgentSession[None]":
    """Build the session, not started yet.

    Args:
        engines: What hears, thinks and speaks; an absent one the tutor's agent brings.
        language: ISO 639-1; fills `{language}` in the engines' arguments.
        secrets: Values for the engines' secret arguments, by the secrets' names.
    """
    with sharing_context():
        stt, llm, tts = (
            _build(engine, language, secrets) for engine in (engines.stt, engines.llm, engines.tts)
        )
    return AgentSession(
        stt=stt,
        llm=llm,
        tts=tts,
        # A pause that the recogniser took for an end would split a sentence into two turns.
        vad=inference.VAD(model="silero", min_silence_duration=engines.turn.min_delay),
        turn_handling={
            # The local model: the hosted one would send the learner's voice elsewhere.
            "turn_detection": inference.TurnDetector(version="v1-mini"),
            "endpointing": {
                "min_delay": engines.turn.min_delay,
                "max_delay": engines.turn.max_delay,
            },
        },
        # The learner's last words are on their way when a lesson ends: wait, but not long.
        session_close_transcript_timeout=0.5,
    )


async def say_out(session: "AgentSession[None]", text: str) -> None:
    """Say a sentence in a started session and let it be heard, if there is a voice to do it."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        async with asyncio.timeout(SAY_SECONDS):
            await session.say(text, allow_interruptions=False).wait_for_playout()


def switch(session: "AgentSession[None]", *, on: bool) -> None:
    """Let audio and text in and out of a session, as far as it has them, or keep them out."""
    if session.input.audio is not None:
        session.input.set_audio_enabled(on)
    if session.output.audio is not None:
        session.output.set_audio_enabled(on)
    if session.output.transcription is not None:
        session.output.set_transcription_enabled(on)


async def close_voice(session: "AgentSession[None]", ears: Ears | None, *, heard: bool) -> None:
    """Let a listener hear out what is being said, if there is one, then close all."""
    speech = session.current_speech
    if speech is not None and heard:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_OUT_SECONDS):
                await speech.wait_for_playout()
    # The record matters more than a voice that does not let go.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await session.aclose()
            if ears is not None:
                await ears.aclose()


def _build(engine: Engine | None, language: str, secrets: Mapping[str, str]) -> Any:
    if engine is None:
        return NOT_GIVEN
    plain = {
        name: value.replace("{language}", language) if isinstance(value, str) else value
        for name, value in engine.with_.items()
    }
    secret = {name: secrets[variable] for name, variable in engine.secrets.items()}
    return import_string(engine.use)(**plain, **secret)

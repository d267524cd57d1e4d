"""Speech recognition for LiveKit with the recogniser's confidence in each word.

livekit-plugins-openai asks for the text alone. `use: loqua_speech.stt:STT` in config/ asks this
server, or any other with OpenAI's endpoint and `verbose_json`, for the rest.
"""

import math
from typing import Any, Never

import openai
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    APITimeoutError,
    LanguageCode,
    stt,
)
from livekit.agents.types import NOT_GIVEN, NotGivenOr, TimedString
from livekit.agents.utils import AudioBuffer, is_given
from openai.types.audio import TranscriptionVerbose

__all__ = ["STT", "speech_data"]

_TIMEOUT_SECONDS = 30


class STT(stt.STT[Never]):
    """Recognise turns with an OpenAI-compatible server.

    Args:
        base_url: The address that `/audio/transcriptions` follows.
        api_key: The server's key, if it asks for one.
        model: The model's name on the server.
        language: ISO 639-1 code of what is spoken; None to have it detected.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str = "-",
        model: str = "whisper-base",
        language: str | None = None,
    ) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._client = openai.AsyncClient(base_url=base_url, api_key=api_key, max_retries=0)
        self._model = model
        self._language = language

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    @property
    def provider(self) -> str:
        """The server's host."""
        return self._client.base_url.host

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        asked = language if is_given(language) else self._language
        sound = rtc.combine_audio_frames(buffer).to_wav_bytes()
        try:
            response = await self._client.audio.transcriptions.create(
                file=("turn.wav", sound, "audio/wav"),
                model=self._model,
                language=asked or openai.omit,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                timeout=openai.Timeout(_TIMEOUT_SECONDS, connect=conn_options.timeout),
            )
        except openai.APITimeoutError:
            raise APITimeoutError from None
        except openai.APIStatusError as error:
            raise APIStatusError(
                error.message, status_code=error.status_code, body=error.body
            ) from None
        except openai.APIConnectionError as error:
            raise APIConnectionError from error
        return stt.SpeechEvent(
            stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[speech_data(response)]
        )


def speech_data(response: TranscriptionVerbose) -> stt.SpeechData:
    """Return a transcript as LiveKit's `SpeechData`.

    The confidence is the likelihood of a token, from 0 to 1: the geometric mean over the segments.
    0 means unknown, as everywhere in LiveKit.
    """
    return stt.SpeechData(
        language=LanguageCode(response.language),
        text=response.text,
        confidence=_confidence(response),
        words=[
            TimedString(it.word, it.start, it.end, confidence=_probability(it.model_extra))
            for it in response.words or ()
        ],
    )


def _confidence(response: TranscriptionVerbose) -> float:
    segments = [(it.avg_logprob, max(len(it.tokens), 1)) for it in response.segments or ()]
    tokens = sum(count for _, count in segments)
    return math.exp(sum(it * count for it, count in segments) / tokens) if tokens else 0.0


def _probability(extra: dict[str, Any] | None) -> NotGivenOr[float]:
    found = (extra or {}).get("probability")
    return float(found) if isinstance(found, int | float) else NOT_GIVEN

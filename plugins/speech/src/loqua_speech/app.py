"""The HTTP application: the parts of OpenAI's audio API that lessons need, and pronunciation."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

import structlog
from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loqua_speech.audio import HEARING_RATE, Samples, decode, wav
from loqua_speech.errors import RequestError, UnknownModelError
from loqua_speech.pronunciation.azure import render_assessment
from loqua_speech.pronunciation.free_speech import spoken_words
from loqua_speech.pronunciation.lexicon import primary_language
from loqua_speech.pronunciation.queue import ScoringQueue, check_length
from loqua_speech.pronunciation.results import AssessmentResult, Refusal
from loqua_speech.recogniser import RecognisedPassage, Recogniser, Transcript
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for

LARGEST_BODY = 25 * 1024 * 1024
"""In bytes; OpenAI's limit."""

_VOICE_MODEL = "pico"
_ANY_WHISPER = "whisper"
_CLIENT_GONE = 499  # nginx's number; nobody reads the answer

_log = structlog.get_logger()

_Result = TypeVar("_Result")


class SpeechRequest(BaseModel):
    """The body of `POST /v1/audio/speech`; OpenAI's other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    model: str
    input: str = Field(min_length=1, max_length=4096)
    voice: str
    response_format: Literal["pcm", "wav"] = "pcm"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)


class Endpoints:
    """The server's endpoints, one method each."""

    def __init__(self, recogniser: Recogniser, scoring: ScoringQueue) -> None:
        """Serve with this recogniser and this scorer."""
        self._recogniser = recogniser
        self._scoring = scoring

    async def transcribe(
        self,
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form()],
        language: Annotated[str, Form()] = "",
        prompt: Annotated[str, Form()] = "",
        response_format: Annotated[Literal["json", "text", "verbose_json"], Form()] = "json",
    ) -> Response:
        """Transcribe an audio file (`POST /v1/audio/transcriptions`)."""
        _require_model(model, self._recogniser.model, _ANY_WHISPER)
        began = time.monotonic()
        audio = await asyncio.to_thread(decode, await file.read())
        work = self._recogniser.transcribe(audio, language=language or None, prompt=prompt)
        transcript = await _unless_gone(request, work)
        if transcript is None:
            return Response(status_code=_CLIENT_GONE)
        _log.info(
            "speech.transcribed",
            language=transcript.language,
            audio_seconds=round(transcript.seconds, 2),
            seconds=round(time.monotonic() - began, 2),
        )
        return _rendered(transcript, response_format)

    async def score_pronunciation(
        self,
        request: Request,
        file: Annotated[UploadFile, File()],
        text: Annotated[str, Form(max_length=1000)] = "",
        language: Annotated[str, Form()] = "en",
    ) -> Response:
        """Score the pronunciation of a text or of free speech (`POST /v1/audio/pronunciation`)."""
        began = time.monotonic()
        audio = await asyncio.to_thread(decode, await file.read())
        scored = await _unless_gone(request, self._scored(audio, text, language))
        if scored is None:
            return Response(status_code=_CLIENT_GONE)
        result, text = scored
        seconds = len(audio) / HEARING_RATE
        _log.info(
            "speech.pronunciation_scored",
            audio_seconds=round(seconds, 2),
            seconds=round(time.monotonic() - began, 2),
        )
        return JSONResponse(render_assessment(result, text, seconds))

    async def _scored(
        self, audio: Samples, text: str, language: str
    ) -> tuple[AssessmentResult | Refusal, str]:
        """Return the result and its text: without one, the recogniser's words."""
        if text:
            return await self._scoring.score(audio, text, language), text
        check_length(audio)
        transcript = await self._recogniser.transcribe(audio, language=language)
        if transcript.heard and transcript.language != primary_language(language):
            return Refusal.OTHER_LANGUAGE, transcript.text
        heard = [it for passage in transcript.heard for it in spoken_words(passage.passage.words)]
        return await self._scoring.score_free_speech(audio, heard, language), transcript.text

    async def speak(self, wanted: SpeechRequest) -> Response:
        """Stream a text as speech (`POST /v1/audio/speech`)."""
        _require_model(wanted.model, _VOICE_MODEL)
        speech = synthesize(wanted.input, voice=voice_for(wanted.voice), speed=wanted.speed)
        # OpenAI's clients name the request by it; livekit warns at every sentence without one.
        named = {"x-request-id": uuid4().hex}
        if wanted.response_format == "wav":
            pcm = await asyncio.to_thread(b"".join, speech)
            return Response(wav(pcm, rate=SPEAKING_RATE), media_type="audio/wav", headers=named)
        return StreamingResponse(speech, media_type="audio/pcm", headers=named)

    async def models(self) -> dict[str, Any]:
        """List the accepted values of `model` (`GET /v1/models`)."""
        names = (self._recogniser.model, _VOICE_MODEL)
        served = [{"id": name, "object": "model", "owned_by": "loqua-speech"} for name in names]
        return {"object": "list", "data": served}

    async def health(self) -> dict[str, Any]:
        """Return the number of turns in the queue (`GET /health`)."""
        return {"status": "ok", "model": self._recogniser.model, "turns": self._recogniser.requests}


class UploadLimit:
    """ASGI middleware that stops reading a body beyond a limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body counted."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413, f"the body is larger than {LARGEST_BODY} bytes")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


def create_app(recogniser: Recogniser, scoring: ScoringQueue) -> FastAPI:
    """Return the application, which uses this recogniser and this scoring queue."""
    app = FastAPI(title="loqua-speech")
    endpoints = Endpoints(recogniser, scoring)
    app.add_api_route("/v1/audio/pronunciation", endpoints.score_pronunciation, methods=["POST"])
    app.add_api_route("/v1/audio/transcriptions", endpoints.transcribe, methods=["POST"])
    app.add_api_route("/v1/audio/speech", endpoints.speak, methods=["POST"])
    app.add_api_route("/v1/models", endpoints.models)
    app.add_api_route("/health", endpoints.health)
    app.add_middleware(UploadLimit)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _broken)
    return app


def _require_model(model: str, *served: str) -> None:
    if model not in served:
        raise UnknownModelError(f"no model {model[:80]!r} here: this endpoint serves {served[0]!r}")


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """Return the work's result; cancel it and return None if the client disconnects before."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_disconnected(request))
    watch.add_done_callback(lambda _: task.cancel())
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
        watch.cancel()
    return None if task.cancelled() else task.result()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _rendered(transcript: Transcript, response_format: str) -> Response:
    if response_format == "text":
        return PlainTextResponse(f"{transcript.text}\n")
    if response_format == "json":
        return JSONResponse({"text": transcript.text})
    segments = [_segment(number, heard) for number, heard in enumerate(transcript.heard)]
    return JSONResponse(
        {
            "task": "transcribe",
            "language": transcript.language,
            "duration": transcript.seconds,
            "text": transcript.text,
            "segments": segments,
            "words": [word for heard in transcript.heard for word in _words(heard)],
        }
    )


def _words(heard: RecognisedPassage) -> Iterator[dict[str, Any]]:
    """Yield a passage's words; `probability` is faster-whisper's name, OpenAI has none."""
    for word in heard.passage.words:
        yield {
            "word": word.text,
            "start": round(heard.start + word.start, 2),
            "end": round(heard.start + word.end, 2),
            "probability": round(word.probability, 3),
        }


def _segment(number: int, heard: RecognisedPassage) -> dict[str, Any]:
    passage = heard.passage
    return {
        "id": number,
        "seek": 0,
        "start": heard.start,
        "end": heard.end,
        "text": passage.text,
        "tokens": passage.tokens,
        "temperature": passage.temperature,
        "avg_logprob": passage.log_probability,
        "compression_ratio": passage.compression_ratio,
        "no_speech_prob": passage.no_speech,
    }


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 Starlette passes registered types only
    return _error(error.status, str(error), param=error.param, code=error.code)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 likewise
    faults = error.errors()
    places = [".".join(str(part) for part in fault["loc"][1:]) for fault in faults]
    message = "; ".join(
        f"{place}: {fault['msg']}" for place, fault in zip(places, faults, strict=True)
    )
    return _error(400, message, param=places[0] or None, code="invalid_request")


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 likewise
    return _error(error.status_code, error.detail)


def _broken(_: Request, error: Exception) -> Response:
    del error  # Starlette raises it again, and the server logs it
    return _error(500, "the speech server failed; its log has the cause")


def _error(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> Response:
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    body = {"message": message, "type": kind, "param": param, "code": code}
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse({"error": body}, status, headers)

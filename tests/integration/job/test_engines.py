"""OpenAI's plugin against a server that fails in every way."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from livekit import rtc
from livekit.agents import APIConnectOptions, llm

from loqua_host.job.engines import failover, fallbacks
from loqua_host.job.engines.build import EngineWatch, build_engines
from loqua_host.settings.engines import Engines

RATE = 24_000
LIMIT = 1.0
"""Seconds in place of five, and of two."""

ONCE = APIConnectOptions(max_retry=0)
Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]

SOUND = (1).to_bytes(2, "little") * RATE
"""A second of it."""


async def well(_request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer."""
    return web.Response(body=body)


def refuses(status: int) -> Answer:
    """Answer with a status."""

    async def answer(_request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.json_response({"error": {"message": "key sk-secret"}}, status=status)

    return answer


async def hangs(_request: web.Request, _body: bytes) -> web.StreamResponse:
    """Block without an answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def stalls(request: web.Request, body: bytes) -> web.StreamResponse:
    """Send half of the answer, and nothing more."""
    response = await _half(request, body)
    await asyncio.Event().wait()
    return response


async def breaks_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Send half of the answer, and close."""
    response = await _half(request, body)
    await asyncio.sleep(0.1)
    assert request.transport
    request.transport.abort()
    return response


async def _half(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return response


async def babbles(_request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer with a page, as portals and proxies do."""
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


async def ends(_request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer nothing."""
    return web.Response()


FAULTS: dict[str, Answer] = {
    **{str(status): refuses(status) for status in (400, 401, 403, 404, 429, 500, 502, 503)},
    "hangs": hangs,
    "stalls": stalls,
    "breaks off": breaks_off,
    "empty": ends,
    "a page": babbles,
}


def _line(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode()


def serving(answer: Answer, name: str) -> web.Application:
    """Serve OpenAI's endpoints; each server says its name."""
    app = web.Application()
    spoken = b"".join(map(_line, (f"{name} ", "y ", "nada ", "más"))) + b"data: [DONE]\n\n"
    bodies = {
        "/v1/audio/speech": SOUND,
        "/v1/audio/transcriptions": json.dumps({"text": name}).encode(),
        "/v1/chat/completions": spoken,
    }
    for path, body in bodies.items():

        async def handle(request: web.Request, body: bytes = body) -> web.StreamResponse:
            await request.read()
            return await answer(request, body)

        app.router.add_post(path, handle)
    return app


class Pair:
    """Engines of two servers, of which the first fails."""

    def __init__(self, first: str, second: str) -> None:
        self.urls = (first, second)
        self.served: list[tuple[str, int]] = []

    def build(self, kind: Any, **arguments: object) -> Any:
        """Build a list of OpenAI's engines."""
        named = [
            {
                "use": f"livekit.plugins.openai:{kind.upper()}",
                "options": {"base_url": url, "api_key": "-", "model": "m", **arguments},
            }
            for url in self.urls
        ]
        vad: Any = object()
        watch = EngineWatch(lambda *what: self.served.append(what))
        engines = Engines.model_validate({kind: named})
        return build_engines(kind, engines, "es", {}, vad=vad, watch=watch)


@pytest.fixture
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Run a server that fails as a test says, and one that works."""
    async with (
        TestServer(serving(FAULTS.get(request.param, well), "uno")) as first,
        TestServer(serving(well, "dos")) as second,
    ):
        url = str(first.make_url("/v1"))
        if request.param == "unreachable":
            await first.close()
        if request.param == "unresolved":
            url = "http://speech.invalid/v1"
        if request.param == "no handshake":
            with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
                host, port = deaf.getsockname()
                yield Pair(f"https://{host}:{port}/v1", str(second.make_url("/v1")))
            return
        yield Pair(url, str(second.make_url("/v1")))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than in lessons."""
    monkeypatch.setattr(failover, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(fallbacks, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(fallbacks, "SOUND_PAUSE", LIMIT)


EVERY = [*FAULTS, "unreachable", "unresolved", "no handshake"]
faults = pytest.mark.parametrize("pair", EVERY, indirect=True, ids=EVERY)


@faults
async def test_a_voice_that_fails_in_any_way_is_replaced(pair: Pair) -> None:
    """The whole sentence is said, whatever there was of it."""
    voice = pair.build("tts", voice="{language}", response_format="pcm")
    async with asyncio.timeout(30), voice.synthesize("Hola, ¿qué tal?", conn_options=ONCE) as sound:
        seconds = sum([piece.frame.duration async for piece in sound])
    assert seconds >= 1.0
    assert pair.served[-1] == ("tts", 1)


@faults
async def test_a_recogniser_that_fails_in_any_way_is_replaced(pair: Pair) -> None:
    """The utterance is heard all the same."""
    recogniser = pair.build("stt", language="{language}")
    frame = rtc.AudioFrame(SOUND, RATE, 1, RATE)
    async with asyncio.timeout(30):
        event = await recogniser.recognize(frame, conn_options=ONCE)
    assert event.alternatives[0].text == "dos"
    assert pair.served == [("stt", 1)]


@faults
async def test_a_model_that_fails_in_any_way_is_replaced(pair: Pair) -> None:
    """The next one's whole reply is said."""
    mind = pair.build("llm")
    words = ""
    async with (
        asyncio.timeout(30),
        mind.chat(chat_ctx=llm.ChatContext.empty(), conn_options=ONCE) as reply,
    ):
        async for chunk in reply:
            words += (chunk.delta and chunk.delta.content) or ""
    assert words.endswith("dos y nada más")
    assert pair.served[-1] == ("llm", 1)

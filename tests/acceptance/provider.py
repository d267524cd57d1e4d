"""A hosted provider of speech and language engines that a test can stop and restore."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

Kind = Literal["stt", "llm", "tts"]
Fault = Literal["refuses", "hangs", "breaks off", "stalls"]
"""Answers 401 and quotes the key; takes a request and never answers; closes, or says nothing
more, in the middle of its answer."""

KEY = "sk-key-of-the-provider"
SPOKEN = 30_000
"""Bytes of a sentence that are heard before it is broken off: 0.6 s."""


@dataclass(slots=True)
class Provider:
    """The provider's current behaviour, and the number of its requests.

    Attributes:
        reply: What its model says.
        faults: What is wrong with it, by kind of engine.
    """

    speech_url: str
    reply: str
    faults: dict[Kind, Fault] = field(default_factory=dict)
    asked: dict[Kind, int] = field(default_factory=lambda: {"stt": 0, "llm": 0, "tts": 0})
    url: str = ""

    def engine(self, kind: Kind, **arguments: object) -> dict[str, Any]:
        """Write one of its engines as config does."""
        given = {"base_url": f"{self.url}/v1", "api_key": KEY, **arguments}
        return {"use": f"livekit.plugins.openai:{kind.upper()}", "options": given}

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """Return a sentence as sound, by the speech server."""
        body = await request.json()
        async with aiohttp.ClientSession() as http:
            answer = await http.post(f"{self.speech_url}/v1/audio/speech", json=body)
            return await self._answer(request, "tts", await answer.read(), "audio/pcm")

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """Return what was said as text, by the speech server."""
        body, kind = await request.read(), request.headers["content-type"]
        async with aiohttp.ClientSession() as http:
            url = f"{self.speech_url}/v1/audio/transcriptions"
            answer = await http.post(url, data=body, headers={"content-type": kind})
            return await self._answer(request, "stt", await answer.read(), "application/json")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Return what it always says, word by word."""
        chunks = [_chunk({"content": f"{word} "}) for word in self.reply.split()]
        body = b"".join([*chunks, _chunk({}, "stop"), b"data: [DONE]\n\n"])
        return await self._answer(
            request, "llm", body, "text/event-stream", len(b"".join(chunks[:2]))
        )

    async def _answer(
        self, request: web.Request, kind: Kind, body: bytes, sort: str, heard: int = SPOKEN
    ) -> web.StreamResponse:
        self.asked[kind] += 1
        fault = self.faults.get(kind)
        if fault == "refuses":
            error = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
            return web.json_response(error, status=401)
        if fault == "hangs":
            await asyncio.Event().wait()
        response = web.StreamResponse(headers={"content-type": sort})
        await response.prepare(request)
        await response.write(body[:heard])
        if fault == "stalls":
            await asyncio.Event().wait()
        if fault == "breaks off":
            await asyncio.sleep(0.3)
            assert request.transport
            request.transport.abort()
            return response
        await response.write(body[heard:])
        return response


def _chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


@asynccontextmanager
async def provider(speech_url: str, reply: str) -> AsyncIterator[Provider]:
    """Run one for the length of a block."""
    one = Provider(speech_url, reply)
    app = web.Application(client_max_size=2**25)
    app.router.add_post("/v1/audio/speech", one.speak)
    app.router.add_post("/v1/audio/transcriptions", one.transcribe)
    app.router.add_post("/v1/chat/completions", one.chat)
    async with TestServer(app) as server:
        one.url = str(server.make_url("")).rstrip("/")
        yield one

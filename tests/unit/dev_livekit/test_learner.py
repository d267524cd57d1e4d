"""The learner's voice before it enters a room."""

import json

import httpx
import numpy as np
import pytest
from aiohttp import web

from loqua_host.dev.learner import audible_extent, synthesise_line

RATE = 24000


def test_silence_around_a_line_is_not_part_of_its_speech() -> None:
    """Latencies count from the last sound, not from the end of the file."""
    silence = np.zeros(RATE // 10, np.int16)
    sound = np.full(RATE // 2, 5000, np.int16)
    first, last = audible_extent(np.concatenate([silence, sound, silence]))
    assert [first, last] == pytest.approx([0.1, 0.6])


def test_a_silent_line_extends_over_all_of_its_length() -> None:
    """A line that nobody can hear still has a beginning and an end."""
    assert audible_extent(np.zeros(RATE, np.int16)) == (0.0, 1.0)


async def speech_server(status: int) -> tuple[web.AppRunner, str, list[dict[str, str]]]:
    """Return a running speech server, its base URL, and what it will have been asked."""
    asked: list[dict[str, str]] = []

    async def speech(request: web.Request) -> web.Response:
        asked.append(json.loads(await request.text()))
        return web.Response(body=b"\x01\x00" * 10, status=status)

    app = web.Application()
    app.router.add_post("/v1/audio/speech", speech)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    return runner, f"http://{host}:{port}/v1", asked


async def test_a_line_comes_from_the_speech_server_as_pcm() -> None:
    """It is asked the way OpenAI's speech endpoint is."""
    runner, base_url, asked = await speech_server(200)
    pcm = await synthesise_line(base_url, "hola", "es")
    await runner.cleanup()
    assert pcm == b"\x01\x00" * 10
    assert asked == [{"model": "pico", "voice": "es", "input": "hola", "response_format": "pcm"}]


async def test_a_speech_server_that_refuses_is_an_error() -> None:
    """An error page is not taken for audio."""
    runner, base_url, _ = await speech_server(422)
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        await synthesise_line(base_url, "hola", "xx")
    await runner.cleanup()

"""Checks of engines on a real socket, with the key that config grants."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import hdrs, web
from aiohttp.test_utils import TestServer

from loqua_host.diagnosis.engines import examine_engines
from loqua_host.diagnosis.finding import CheckState
from loqua_host.settings.host import Environment, HostSettings

KEY = "sk-a-key-of-the-speech-service"


@pytest.fixture
async def speech() -> AsyncIterator[str]:
    """Serve a list of models to whoever has the key; return its address."""

    async def models(request: web.Request) -> web.Response:
        known = request.headers[hdrs.AUTHORIZATION] == f"Bearer {KEY}"
        return web.json_response({"data": []}, status=200 if known else 401)

    app = web.Application()
    app.router.add_get("/v1/models", models)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def settings(**engines: object) -> HostSettings:
    """Return a host's settings with one tutor and these engines."""
    tutor = {"name": "t", "plugin": "t", "worker_type": "automatic", "max_concurrent_jobs": 1}
    return HostSettings.model_validate(
        {
            "environment": Environment.DEVELOPMENT,
            "agent_id": "host",
            "livekit": {"url": "ws://127.0.0.1"},
            "api": {"api_base_url": "http://127.0.0.1"},
            "engines": engines,
            "tutors": [tutor],
        }
    )


async def test_each_engine_is_asked_with_its_own_key(speech: str) -> None:
    """One with the right key, one with a wrong one, one that only its plugin can reach."""
    openai = {"use": "livekit.plugins.openai:STT", "options": {"base_url": speech}}
    configured = settings(
        stt=openai | {"secrets": {"api_key": "SPEECH_KEY"}},
        tts={"use": "livekit.plugins.openai:TTS", "options": {"base_url": speech, "api_key": "-"}},
        llm={"use": "some.plugin:LLM"},
    )
    findings = await examine_engines(configured, lambda names: dict.fromkeys(names, KEY))
    states = {one.name: one.verdict.state for one in findings}
    assert states == {
        "engine stt": CheckState.OK,
        "engine llm": CheckState.UNTRIED,
        "engine tts": CheckState.FAILED,
    }
    assert KEY not in repr(findings)


async def test_each_engine_of_a_list_is_tried(speech: str) -> None:
    """A fallback that nobody tried would be found to be gone when it is needed."""
    first = {"use": "x.y:STT", "options": {"base_url": speech, "api_key": KEY}}
    gone = {"use": "x.y:STT", "options": {"base_url": "http://127.0.0.1:1/v1"}}
    findings = await examine_engines(settings(stt=[first, gone]), lambda _names: {})
    states = {one.name: one.verdict.state for one in findings}
    assert states == {"engine stt[0]": CheckState.OK, "engine stt[1]": CheckState.FAILED}
    assert "write another engines.stt[1].options.base_url" in findings[1].verdict.hint


async def test_an_engine_that_is_not_there_fails_by_its_kind() -> None:
    """With the key of config to look at."""
    gone = {"use": "x.y:STT", "options": {"base_url": "http://127.0.0.1:1/v1"}}
    (finding,) = await examine_engines(settings(stt=gone), lambda _names: {})
    assert finding.verdict.state is CheckState.FAILED
    assert "write another engines.stt.options.base_url" in finding.verdict.hint

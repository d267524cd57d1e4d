"""Learners' words and data, absent from everything that operators see.

Its tutor is a plugin as anybody might write it, with a model and a tool that fail quoting what they
got; the API refuses each record and quotes it; everything is logged, down to the last detail.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from aiohttp import web
from livekit.agents.types import TOPIC_CHAT
from tests.integration.host.conftest import (
    FRESH,
    PATIENCE,
    Deployment,
    HostProcess,
    new_room,
    write_config,
)
from tests.integration.host.test_tracing import collector

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = ("zebra", "quokka", "wombat")
SAID = " ".join(WORDS)

TUTOR = f'''
import json
from livekit.agents import Agent, APIConnectOptions, APIStatusError, function_tool, llm
from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl
from loqua_host.contract.records import Word

SAID = {SAID!r}

class Mind(llm.LLM):
    calls = 0

    def chat(self, *, chat_ctx, tools=None, **_):
        once = APIConnectOptions(max_retry=0)
        return Thought(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=once)

class Thought(llm.LLMStream):
    async def _run(self):
        self._llm.calls += 1
        if self._llm.calls > 1:
            raise APIStatusError(f"cannot answer {{SAID}}", body={{"input": SAID}})
        tool = llm.FunctionToolCall(
            name="learn", arguments=json.dumps({{"words": SAID}}), call_id="1"
        )
        delta = llm.ChoiceDelta(role="assistant", tool_calls=[tool])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))

class Tutoring(Agent):
    def __init__(self, lesson):
        super().__init__(instructions=f"They know {{SAID}}.", llm=Mind())
        self.lesson = lesson

    async def on_user_turn_completed(self, turn_ctx, new_message):
        self.lesson.state["typed"] = new_message.text_content

    @function_tool
    async def learn(self, words: str) -> str:
        """Learn words."""
        self.lesson.log.info("quoting.called")
        return str(int(words))

class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="quoting")

    @hookimpl
    async def create_agent(self, lesson):
        return Tutoring(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("quoting.ready")

    @hookimpl
    async def on_progress_tick(self, lesson, tick):
        if not lesson.state.get("typed"):
            return None
        if tick.number % 2:
            raise ValueError(f"no word is {{lesson.state['typed']}}")
        lesson.log.info("quoting.progress")
        return Progress(words_learned=1, grammar_points=(SAID,))

    @hookimpl
    async def on_session_end(self, lesson):
        word = Word(word=SAID, translation=SAID, language="es")
        return LessonReport(topics_covered=(SAID,), new_vocabulary=(word,), recommendations=(SAID,))

plugin = Plugin()
'''


def install(directory: Path) -> Path:
    """Put the tutor where a host finds it."""
    info = directory / "quoting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quoting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[loqua_host]\nquoting = quoting:plugin\n")
    (directory / "quoting.py").write_text(TUTOR)
    return directory


@asynccontextmanager
async def echoing(api: str) -> AsyncIterator[str]:
    """Serve the dev API with refusals that quote the request."""
    async with httpx.AsyncClient(base_url=api, timeout=PATIENCE, limits=FRESH) as client:

        async def serve(request: web.Request) -> web.Response:
            body = await request.read()
            if request.path.endswith(("/progress", "/sessions")):
                error = {"code": "INVALID", "message": f"cannot take {body.decode()}"}
                return web.json_response({"error": error}, status=400)
            kept = {name: request.headers[name] for name in ("Authorization", "X-Agent-ID")}
            asked = client.build_request(request.method, request.path_qs, content=body)
            asked.headers.update(kept | {"Content-Type": "application/json"})
            answer = await client.send(asked)
            return web.Response(
                body=answer.content, status=answer.status_code, content_type="application/json"
            )

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield "http://{}:{}".format(*runner.addresses[0][:2])
        finally:
            await runner.cleanup()


def verbose(config: Path) -> Path:
    """Log everything."""
    file = config / "host.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["logs"]["level"] = "debug"
    file.write_text(yaml.safe_dump(settings))
    tutor = config / "tutors/quoting.yaml"
    tutor.write_text(yaml.safe_dump({"worker_type": "automatic", "max_concurrent_jobs": 1}))
    return config


def ledger(directory: Path) -> dict[str, str]:
    """Return what is in the ledger's files, with what SQLite has not merged yet."""
    files = [file for file in directory.rglob("ledger*") if file.is_file()]
    assert {"ledger.db", "ledger.db-wal"} <= {file.name for file in files}
    return {file.name: file.read_bytes().decode("latin-1") for file in files}


async def teach(deployment: Deployment, host: HostProcess) -> dict[str, str]:
    """Teach a learner until all of its records are refused; return what operators see."""
    room, user_id = new_room(), "user_quoted"
    (await deployment.api.client.put(f"/dev/learners/{user_id}", json={})).raise_for_status()
    attributes = {"user_id": user_id, "display_name": SAID, "email": SAID, "other": SAID}
    async with host.asking() as client:
        async with deployment.enter(deployment.token(room, attributes), user_id, "") as learner:
            await host.log.until("quoting.ready")
            await learner.room.local_participant.send_text(SAID, topic=TOPIC_CHAT)
            await host.log.until("quoting.called")
            await host.log.until("quoting.progress")
            await host.log.until("hook.failed")
            await host.log.until("progress.dead")
        await host.log.until("record.dead")
        pages = {path: (await client.get(path)).text for path in ("/", "/status", "/health")}
        return pages | {"/metrics": (await client.get("/metrics")).text}


async def test_what_a_learner_says_is_in_nothing_that_operators_see(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Log, traces, figures, pages, and the ledger's file."""
    config = verbose(write_config(tmp_path, {"quoting": {}}, {}))
    async with collector() as collecting, echoing(deployment.api.url) as api:
        environ = {
            "PYTHONPATH": str(install(tmp_path / "plugins")),
            "API_BASE_URL": api,
            "LEDGER_KEY": "a-key-of-the-ledger-" * 3,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        async with deployment.run(config, environ=environ) as host:
            seen = await teach(deployment, host)
            await collecting.until("delivery record")
            seen |= ledger(tmp_path)
    seen["the log"] = "\n".join(host.log.raw)
    seen["the traces"] = "\n".join(map(str, collecting.spans.values()))
    assert "raised ValueError: no word is" in seen["the log"]
    assert "function_tool" in seen["the traces"]
    for where, text in seen.items():
        for word in WORDS:
            assert word not in text.casefold(), f"{word} is in {where}"

"""The start of a job: learner, link and lesson, or one log line with the reason."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest
import structlog
from livekit.rtc import _ffi_client
from opentelemetry.sdk.trace import TracerProvider

from loqua_host.contract.tutor import NoSettings, Tutor
from loqua_host.errors import LinkError
from loqua_host.job import entrypoint as module
from loqua_host.job.entrypoint import JobEntrypoint, JobSetup
from loqua_host.job.tracing import SpanBuffer
from loqua_host.link.messages import Finish, Join, Recorded, Refused, Spans, Welcome
from loqua_host.registry.loader import LoadedTutor
from loqua_host.settings.engines import Engine, Engines

from .conftest import FakeLoudspeaker


class FakeContext:
    """LiveKit's context of a job."""

    def __init__(self, room: Any) -> None:
        tutor = Tutor(name="conversation", settings=NoSettings)
        loaded = LoadedTutor("conversation", pluggy.PluginManager("test"), tutor)
        self.room = room
        self.job = SimpleNamespace(id="job", room=SimpleNamespace(name="room"), metadata="")
        self.proc = SimpleNamespace(userdata={"tutor": loaded, "spans": SpanBuffer()})
        self._info = SimpleNamespace(token="room-token", url="ws://livekit")  # invented
        self.log_context_fields: dict[str, object] = {}
        self.connected = False
        self.over: list[str] = []
        self.entering: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.waiting: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def connect(self, *, auto_subscribe: Any) -> None:
        """Enter the room."""
        assert auto_subscribe
        await self.entering()
        self.connected = True

    async def wait_for_participant(self, *, kind: Any) -> Any:
        """Wait for the learner."""
        assert self.connected
        assert kind
        await self.waiting()
        return self.room.remote_participants["maria"]

    def shutdown(self, reason: str) -> None:
        """Leave."""
        self.over.append(reason)


@pytest.fixture
def ctx(job: Any) -> FakeContext:
    """Return the context of a job whose learner is in the room."""
    return FakeContext(job.room)


@pytest.fixture
def enter(job: Any, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return what enters the job with an answer of the host's."""
    tokens: list[str] = []
    job.tokens = tokens
    job.track = FakeLoudspeaker()

    def enter(answer: Any) -> "asyncio.Task[None]":
        @asynccontextmanager
        async def open_link(_path: str, token: str) -> AsyncIterator[Any]:
            tokens.append(token)
            if isinstance(answer, LinkError):
                raise answer
            job.link.answer = answer
            yield job.link

        monkeypatch.setattr(module, "open_link", open_link)
        monkeypatch.setattr(module, "published_track", lambda _: nullcontext(job.track))
        monkeypatch.setattr(module, "build_session", lambda *_, **__: job.session)
        monkeypatch.setattr(module, "HookCaller", lambda *_, **__: job.hooks)
        return asyncio.create_task(JobEntrypoint(job.settings)(ctx))  # type: ignore[arg-type]  # a fake

    return enter


@pytest.fixture
def welcome(job: Any) -> Welcome:
    """Return a welcome."""
    return Welcome(
        lesson="lesson",
        session_id="sess_1",
        visit="sess_1",
        room="room",
        agent_id="agent",
        learner=job.lesson.learner,
        context=job.lesson.context,
        language="es",
        mode="full",
    )


def test_the_native_library_of_a_job_hands_python_no_log(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the tutor is heard, it would be 2,000 lines, each of which Python would drop."""
    for name in ("hide_memory", "send_logs_to_host", "leave_before_loop_ends", "load_plugin"):
        monkeypatch.setattr(module, name, lambda **_: None)
    monkeypatch.setattr(module, "follow_proxy_variables", lambda: None)
    monkeypatch.setenv("RUST_LOG", "off")
    started: list[tuple[object, ...]] = []
    library = SimpleNamespace(livekit_ffi_initialize=lambda *how: started.append(how))
    monkeypatch.setattr(_ffi_client, "get_ffi_lib", lambda: library)
    JobSetup(job.settings)(SimpleNamespace(userdata={}))  # type: ignore[arg-type]
    _ffi_client.get_ffi_lib().livekit_ffi_initialize(None, True, b"python", b"1")
    assert started == [(None, False, b"python", b"1")]


@pytest.mark.parametrize("traced", [True, False])
async def test_spans_are_kept_only_if_the_host_wants_them_of_this_lesson(
    job: Any, ctx: FakeContext, enter: Any, welcome: Welcome, traced: bool
) -> None:
    """A lesson that is not sampled costs its job nothing."""
    job.settings = replace(job.settings, traced=True)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ctx.proc.userdata["spans"])
    running = enter(welcome.model_copy(update={"traced": traced}))
    await asyncio.sleep(1)
    provider.get_tracer("test").start_span("turn").end()
    job.room.leave("maria")
    await running
    names = [span.name for sent in job.link.sent if isinstance(sent, Spans) for span in sent.spans]
    assert names == ["turn"] * traced


async def test_what_a_job_logs_names_the_lesson_whichever_task_or_library_logs_it(
    job: Any, ctx: FakeContext, enter: Any, welcome: Welcome
) -> None:
    """LiveKit adds these fields to each record of the process."""
    running = enter(welcome)
    await asyncio.sleep(1)
    named = {"agent_id": "agent", "session_id": "sess_1", "user_id": "maria"}
    assert ctx.log_context_fields == {**named, "room": "room", "job_id": "job"}
    job.room.leave("maria")
    await running


async def test_what_a_job_logs_before_its_lesson_names_agent_room_and_job(
    ctx: FakeContext, enter: Any
) -> None:
    """Also where there will be no lesson."""
    await enter(None)
    assert ctx.log_context_fields == {"agent_id": "loqua-host", "room": "room", "job_id": "job"}


async def test_a_welcomed_lesson_is_taught_and_the_job_leaves(
    job: Any, ctx: FakeContext, enter: Any, welcome: Welcome
) -> None:
    """With its own room token it joined for the learner it saw."""
    running = enter(welcome)
    await asyncio.sleep(10)
    job.room.leave("maria")
    await running
    assert job.tokens == ["room-token"]
    assert job.link.sent[0] == Join(identity="maria")
    assert isinstance(job.link.sent[-1], Finish)
    assert ctx.over == ["lesson over"]


async def test_a_tutor_speaks_by_the_track_that_its_job_has_published(
    job: Any, enter: Any, welcome: Welcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit would publish another one, and the first sound would wait for it."""
    start, begun = job.session.start, []

    async def started(agent: Any, **options: Any) -> None:
        begun.append((job.session.output.audio, options["room_options"].audio_output))
        await start(agent, **options)

    monkeypatch.setattr(job.session, "start", started)
    running = enter(welcome)
    await asyncio.sleep(1)
    assert begun == [(job.track, False)]
    job.room.leave("maria")
    await running


async def test_the_link_is_opened_while_the_job_connects(
    job: Any, ctx: FakeContext, enter: Any
) -> None:
    """The host can then answer as soon as the learner is there."""
    ctx.entering = lambda: asyncio.sleep(2)
    running = enter(None)
    await asyncio.sleep(1)
    assert job.tokens == ["room-token"]
    assert not ctx.connected
    await running


async def never() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def closed() -> None:
    """Refuse the connection as LiveKit does for a closed room."""
    raise RuntimeError("room disconnected while waiting for participant")


@pytest.mark.parametrize(
    ("waiting", "hint"), [(never, "lessons.learner_timeout"), (closed, "room")]
)
async def test_without_a_learner_the_job_ends_with_its_cause(
    ctx: FakeContext, enter: Any, job: Any, waiting: Any, hint: str
) -> None:
    """It names the cause and the hint, and the host is not asked."""
    ctx.waiting = waiting
    with structlog.testing.capture_logs() as logs:
        await enter(None)
    connected, line = logs
    assert connected["event"] == "room.connected"
    assert (line["event"], line["cause"], line["room"]) == ("lesson.refused", "no_learner", "room")
    assert hint in line["why"]
    assert job.link.sent == []
    assert ctx.over == ["lesson over"]


async def test_a_job_that_waits_for_its_learner_leaves_when_the_host_stops(
    job: Any, ctx: FakeContext, enter: Any
) -> None:
    """It would hold up the host for as long as it waits."""
    ctx.waiting = never
    running = enter(None)
    await asyncio.sleep(5)
    job.link.incoming.put_nowait(REFUSED.model_copy(update={"language": None}))
    await running
    assert asyncio.get_running_loop().time() < 6
    assert (job.link.sent, job.session.done) == ([], [])
    assert ctx.over == ["lesson over"]


@pytest.mark.parametrize("answer", [LinkError("the host refused the link with 403"), None])
async def test_without_a_host_the_job_ends_with_its_cause(
    ctx: FakeContext, enter: Any, answer: Any
) -> None:
    """Also when the host is gone before it answers."""
    with structlog.testing.capture_logs() as logs:
        await enter(answer)
    causes = [(line["event"], line["cause"]) for line in logs if "cause" in line]
    assert causes == [("lesson.refused", "no_link")]
    assert ctx.over == ["lesson over"]


SPEAKING = Engines(tts=Engine(use="somewhere:TTS"))
REFUSED = Refused(cause="no_user_id", language="es")


@pytest.mark.parametrize("voice", [True, False])
async def test_a_refused_learner_hears_an_apology_if_there_is_a_voice(
    job: Any, ctx: FakeContext, enter: Any, voice: bool
) -> None:
    """No hook is called, nothing is finished."""
    if voice:
        job.settings = replace(job.settings, engines=SPEAKING)
    await enter(REFUSED)
    assert job.session.said == (["Lo siento."] if voice else [])
    assert job.session.done == (["started", "closed"] if voice else [])
    assert job.hooks.called == []
    assert ctx.over == ["lesson over"]


async def test_a_refusal_without_apology_is_silent(job: Any, enter: Any) -> None:
    """Another tutor is speaking."""
    job.settings = replace(job.settings, engines=SPEAKING)
    await enter(REFUSED.model_copy(update={"language": None}))
    assert job.session.done == []


async def test_a_cancelled_job_leaves_no_ghost_in_the_room(
    job: Any, ctx: FakeContext, enter: Any, welcome: Welcome
) -> None:
    """LiveKit cancels the jobs of a host that died."""
    running = enter(welcome)
    await asyncio.sleep(10)
    job.link.lose()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ctx.room.left
    assert ctx.over == ["lesson over"]


async def test_a_job_that_is_cancelled_while_it_enters_leaves_once_it_is_in(
    ctx: FakeContext, enter: Any, welcome: Welcome
) -> None:
    """A connection that is cancelled leaves a ghost in the room and aborts the native client."""
    ctx.entering = lambda: asyncio.sleep(2)
    running = enter(welcome)
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ctx.connected
    assert ctx.room.left


async def test_a_host_that_answers_out_of_turn_is_no_host(enter: Any) -> None:
    """The job does not teach."""
    with structlog.testing.capture_logs() as logs:
        await enter(Recorded())
    assert [line["cause"] for line in logs if "cause" in line] == ["no_link"]

"""The link: valid messages of a job, and the consequences of invalid ones."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.contract.records import Ending, LessonReport, Mode, Progress, Word
from loqua_host.errors import LinkError
from loqua_host.link import client, server
from loqua_host.link.client import open_link
from loqua_host.link.messages import (
    FROM_JOB,
    MAX_MESSAGE_BYTES,
    MAX_STATE_BYTES,
    Checkpoint,
    Finish,
    Join,
    ModeChanged,
    ProgressRefused,
    Recorded,
)
from loqua_host.link.server import (
    MAX_MALFORMED,
    MESSAGES_PER_SECOND,
    JobLink,
    JobRef,
    serve_link,
)

Serve = Callable[[JobLink], Awaitable[None]]


@asynccontextmanager
async def serve_at(path: Path, **how: Any) -> AsyncIterator[None]:
    """Take links at a socket with a path, for tests to connect to."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        async with serve_link(listener, **how):
            yield


JOIN = Join(identity="maria").model_dump_json()


def authorise(token: str, _pid: int) -> JobRef:
    """Authorise the jobs whose tokens are `token-…`."""
    if not token.startswith("token-"):
        raise LinkError("no running job has this token and this process")
    job = token.removeprefix("token-")
    return JobRef(job, f"room-{job}", "conversation")


class RecordingServer:
    """A server of links that stores messages, and answers a `Finish` with `Recorded`."""

    def __init__(self) -> None:
        self.messages: dict[str, list[object]] = {}
        self.ended: dict[str, asyncio.Event] = {}

    async def serve(self, link: JobLink) -> None:
        """Take all messages of a link."""
        received = self.messages[link.job.job_id] = []
        ended = self.ended.setdefault(link.job.job_id, asyncio.Event())
        while (message := await link.receive()) is not None:
            received.append(message)
            if isinstance(message, Finish):
                await link.send(Recorded())
        ended.set()

    async def end_of(self, job: str) -> list[object]:
        """Wait for the end of a link; return its messages."""
        async with asyncio.timeout(30):
            await self.ended.setdefault(job, asyncio.Event()).wait()
        return self.messages[job]


@pytest.fixture
def recorder() -> RecordingServer:
    """Return a server of links."""
    return RecordingServer()


@pytest.fixture
async def path(tmp_path: Path, recorder: RecordingServer) -> AsyncIterator[Path]:
    """Yield the socket of a server."""
    path = tmp_path / "host.sock"
    async with serve_at(path, authorise=authorise, serve=recorder.serve):
        yield path


@asynccontextmanager
async def raw(path: Path, job: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect as a job that keeps to no protocol."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.ws_connect(
            "http://host/link",
            headers={"Authorization": f"Bearer token-{job}"},
            timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
        ) as ws,
    ):
        yield ws


async def refusal(ws: aiohttp.ClientWebSocketResponse) -> str:
    """Return why the host refused the last message."""
    return ProgressRefused.model_validate_json(await ws.receive_str(timeout=30)).why


async def test_messages_arrive_and_are_answered(path: Path, recorder: RecordingServer) -> None:
    """From joining to the record."""
    finish = Finish(ending=Ending(reason="done", seconds=1))
    async with open_link(str(path), "token-1") as link:
        await link.send(Join(identity="maria"))
        await link.send(Checkpoint(seconds=1, progress=Progress(), state={"scene": [1, None]}))
        await link.send(finish)
        assert await link.receive() == Recorded()
    joined, progress, finished = await recorder.end_of("1")
    assert joined == Join(identity="maria")
    assert isinstance(progress, Checkpoint)
    assert finished == finish


async def test_another_jobs_token_is_refused_and_logged(
    path: Path, recorder: RecordingServer
) -> None:
    """The job gets a refusal; the token is in no log."""
    with structlog.testing.capture_logs() as logs, pytest.raises(LinkError, match="403"):
        async with open_link(str(path), "stolen"):
            pass
    [log] = logs
    assert (log["event"], log["pid"]) == ("link.refused", os.getpid())
    assert "stolen" not in str(log)
    assert recorder.messages == {}


async def test_the_process_behind_the_socket_is_reported_by_the_kernel(tmp_path: Path) -> None:
    """No job can say that it is another process."""
    seen: list[int] = []

    def note(token: str, pid: int) -> JobRef:
        seen.append(pid)
        return authorise(token, pid)

    path = tmp_path / "s"
    async with (
        serve_at(path, authorise=note, serve=RecordingServer().serve),
        open_link(str(path), "token-1"),
    ):
        pass
    assert seen == [os.getpid()]


async def test_a_second_connection_is_refused_and_the_first_unharmed(
    path: Path, recorder: RecordingServer
) -> None:
    """One job, one link."""
    async with open_link(str(path), "token-1") as first:
        await first.send(Join(identity="maria"))
        with structlog.testing.capture_logs() as logs, pytest.raises(LinkError, match="409"):
            async with open_link(str(path), "token-1"):
                pass
        assert [log["event"] for log in logs] == ["link.refused"]
        await first.send(Finish(ending=Ending(reason="done", seconds=1)))
        assert await first.receive() == Recorded()
    assert len(await recorder.end_of("1")) == 2


async def test_a_job_whose_link_has_ended_may_connect_again(
    path: Path, recorder: RecordingServer
) -> None:
    """Its place is free as soon as its lesson is closed."""
    async with open_link(str(path), "token-1") as link:
        await link.send(Join(identity="maria"))
    assert len(await recorder.end_of("1")) == 1
    recorder.ended.clear()
    async with asyncio.timeout(30):
        while not await joined_again(path):  # noqa: ASYNC110  # a place is freed for nobody to hear
            await asyncio.sleep(0.01)
    assert len(await recorder.end_of("1")) == 1


async def joined_again(path: Path) -> bool:
    """Connect as the same job once more, and join; says whether its place was free."""
    try:
        async with open_link(str(path), "token-1") as link:
            await link.send(Join(identity="maria"))
    except LinkError:
        return False
    return True


MALFORMED = {
    "no JSON": "}{",
    "no object": "[1]",
    "an unknown type": '{"type": "sudo"}',
    "a message of the host's": '{"type": "recorded"}',
    "an unknown field": '{"type": "join", "identity": "m", "user_id": "other"}',
    "an empty identity": '{"type": "join", "identity": ""}',
    "nesting without end": '{"type": "checkpoint", "state": ' + '{"a":' * 100_000,
    "half a surrogate": '{"type": "join", "identity": "\\ud800"}',
}

PROGRESS = {
    "NaN": ("seconds", "NaN", "checkpoint.seconds"),
    "infinity": ("seconds", "1e999", "checkpoint.seconds"),
    "negative time": ("seconds", "-1", "checkpoint.seconds"),
    "a score of NaN": ("progress", '{"pronunciation_score": NaN}', "progress.pronunciation_score"),
    "a score over 100": ("progress", '{"pronunciation_score": 101}', "pronunciation_score"),
    "a count of text": ("progress", '{"words_learned": "many"}', "words_learned"),
    "a negative count": ("progress", '{"words_learned": -1}', "words_learned"),
    "a huge count": ("progress", '{"words_learned": 1' + "0" * 400 + "}", "words_learned"),
    "an endless number": ("progress", '{"words_learned": 1' + "0" * 9999 + "}", "message"),
    "too many labels": (
        "progress",
        '{"grammar_points": ' + json.dumps(["a"] * 101) + "}",
        "points",
    ),
    "an endless label": ("progress", '{"grammar_points": ["' + "a" * 201 + '"]}', "points.0"),
    "a state too big": ("state", json.dumps({"a": "b" * MAX_STATE_BYTES}), "lesson.state"),
    "a state of a list": ("state", "[]", "state"),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_message_is_refused_and_the_link_goes_on(
    path: Path, recorder: RecordingServer, text: str
) -> None:
    """The job gets the reason, and the next valid message counts."""
    async with raw(path, "1") as ws:
        await ws.send_str(text)
        assert await refusal(ws)
        await ws.send_str(JOIN)
    assert await recorder.end_of("1") == [Join(identity="maria")]


@pytest.mark.parametrize(("field", "value", "named"), PROGRESS.values(), ids=PROGRESS)
async def test_progress_out_of_range_is_refused_with_the_fields_name(
    path: Path, recorder: RecordingServer, field: str, value: str, named: str
) -> None:
    """Named to the job and in the log, without the value."""
    parts = {"type": '"checkpoint"', "seconds": "1", "progress": "{}", field: value}
    message = "{" + ", ".join(f'"{name}": {part}' for name, part in parts.items()) + "}"
    with structlog.testing.capture_logs() as logs:
        async with raw(path, "1") as ws:
            await ws.send_str(message)
            why = await refusal(ws)
        await recorder.end_of("1")
    assert named in why
    assert len(why) <= 500
    assert [log["why"] for log in logs if log["event"] == "link.message_refused"] == [why]


async def test_binary_messages_are_refused(path: Path, recorder: RecordingServer) -> None:
    """JSON or not: links take text."""
    async with raw(path, "1") as ws:
        await ws.send_bytes(JOIN.encode())
        assert "not text" in await refusal(ws)
        await ws.ping(b"are you there?")
        await ws.send_str(JOIN)
    assert await recorder.end_of("1") == [Join(identity="maria")]


async def test_an_oversized_message_ends_its_link_and_no_other(
    path: Path, recorder: RecordingServer
) -> None:
    """One log line; the honest job's link goes on."""
    with structlog.testing.capture_logs() as logs:
        async with raw(path, "honest") as honest, raw(path, "greedy") as greedy:
            with contextlib.suppress(ConnectionError):
                await greedy.send_str("x" * (MAX_MESSAGE_BYTES + 1))
            assert await recorder.end_of("greedy") == []
            await honest.send_str(JOIN)
        assert await recorder.end_of("honest") == [Join(identity="maria")]
    [log] = [log for log in logs if log["event"] == "link.refused"]
    assert "size" in log["why"]


async def test_text_that_is_not_utf8_ends_its_link(path: Path, recorder: RecordingServer) -> None:
    """WebSockets require UTF-8; the lesson ends like one whose job is gone."""
    with structlog.testing.capture_logs() as logs:
        async with raw(path, "1") as ws:
            await ws.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
            assert await recorder.end_of("1") == []
    assert "link.refused" in [log["event"] for log in logs]


async def test_a_job_that_only_sends_nonsense_is_hung_up_on(
    path: Path, recorder: RecordingServer
) -> None:
    """Good messages in between do not buy it more nonsense."""
    with structlog.testing.capture_logs() as logs:
        async with raw(path, "1") as ws:
            for _ in range(MAX_MALFORMED // 2):
                await ws.send_str("nonsense")
                await ws.send_str("nonsense")
                await ws.send_str(JOIN)
            await recorder.end_of("1")
    assert len(recorder.messages["1"]) == MAX_MALFORMED // 2 - 1
    assert "link.closed" in [log["event"] for log in logs]


async def test_a_flood_is_read_slowly_and_said_once(path: Path, recorder: RecordingServer) -> None:
    """The honest job beside it is heard at once, and the flood is not kept in memory."""
    clock = asyncio.get_running_loop().time
    with structlog.testing.capture_logs() as logs:
        async with raw(path, "flood") as flood, raw(path, "honest") as honest:
            began = clock()
            for _ in range(1000):
                await flood.send_str(JOIN)
            await honest.send_str(JOIN)
            async with asyncio.timeout(30):
                while not recorder.messages.get("honest"):  # noqa: ASYNC110  # the point is how soon
                    await asyncio.sleep(0.01)
            read = len(recorder.messages["flood"])
            assert read <= (clock() - began + 2) * MESSAGES_PER_SECOND
    assert [log["event"] for log in logs].count("link.flooding") == 1


async def test_a_job_that_never_reads_does_not_hold_the_host_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hung up on after a while; the log says so."""
    monkeypatch.setattr("loqua_host.link.server.SEND_SECONDS", 0.05)
    sent = asyncio.Event()

    async def talk(link: JobLink) -> None:
        for _ in range(3):
            await link.send(ProgressRefused(why="x" * 3_000_000))
        sent.set()

    path = tmp_path / "s"
    async with serve_at(path, authorise=authorise, serve=talk):
        with structlog.testing.capture_logs() as logs, socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)  # the socket's own way
            deaf.connect(str(path))
            deaf.sendall(
                b"GET /link HTTP/1.1\r\nHost: host\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                b"Authorization: Bearer token-1\r\n\r\n"
            )
            async with asyncio.timeout(30):
                await sent.wait()
    assert [log["event"] for log in logs] == ["link.closed"]


async def test_a_message_to_a_job_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """The sender need not know."""
    done = asyncio.Event()

    async def talk(link: JobLink) -> None:
        while await link.receive() is not None:
            pass
        for _ in range(3):
            await link.send(ModeChanged(mode=Mode.FULL))
        done.set()

    async with serve_at(tmp_path / "s", authorise=authorise, serve=talk):
        async with open_link(str(tmp_path / "s"), "token-1"):
            pass
        async with asyncio.timeout(30):
            await done.wait()


async def test_a_lesson_that_fails_in_the_host_frees_its_link_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The job sees the host gone; another's link goes on; the error's words stay unsaid."""
    recorder = RecordingServer()

    async def serve(link: JobLink) -> None:
        if link.job.job_id == "bad":
            raise RuntimeError("a mistake in the host")
        await recorder.serve(link)

    path = tmp_path / "s"
    with structlog.testing.capture_logs() as logs:
        async with serve_at(path, authorise=authorise, serve=serve), raw(path, "good") as good:
            for _ in range(2):
                async with open_link(str(path), "token-bad") as bad:
                    assert await bad.receive() is None
            await good.send_str(JOIN)
    assert await recorder.end_of("good") == [Join(identity="maria")]
    caught = [line for line in logs if line["event"] == "error.caught"]
    assert [(line["why"], line["job_id"]) for line in caught] == [("RuntimeError", "bad")] * 2
    assert "a mistake" not in str(logs) + caplog.text


async def test_lessons_are_closed_before_the_servers_end_is_over(tmp_path: Path) -> None:
    """Each lesson gets the end of its link, and has time to write its record."""
    closed: list[str] = []
    joined = asyncio.Event()

    async def serve(link: JobLink) -> None:
        assert await link.receive() == Join(identity="maria")
        joined.set()
        assert await link.receive() is None
        await asyncio.sleep(0.05)
        closed.append(link.job.job_id)

    path = tmp_path / "s"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        serve_at(path, authorise=authorise, serve=serve),
    ):
        ws = await session.ws_connect(
            "http://host/link", headers={"Authorization": "Bearer token-1"}
        )
        await ws.send_str(JOIN)
        await joined.wait()
    assert closed == ["1"]


async def test_a_host_that_is_not_there_is_a_link_error(tmp_path: Path) -> None:
    """The job ends with one line, not with a traceback."""
    with pytest.raises(LinkError, match="not listening on its socket"):
        async with open_link(str(tmp_path / "nobody"), "token-1"):
            pass


async def test_a_job_whose_host_is_gone_cannot_send(tmp_path: Path) -> None:
    """It receives None, then LinkError."""
    path = tmp_path / "s"
    server = serve_at(path, authorise=authorise, serve=RecordingServer().serve)
    await server.__aenter__()
    async with open_link(str(path), "token-1") as link:
        await link.send(Join(identity="maria"))
        await asyncio.gather(server.__aexit__(None, None, None), _until_none(link))
        with pytest.raises(LinkError):
            await link.send(Join(identity="maria"))


async def _until_none(link: Any) -> None:
    while await link.receive() is not None:
        pass


def test_the_longest_report_fits_into_a_message() -> None:
    """No tutor that keeps to the contract can send too much, in whatever script."""
    label = "\N{ROLLING ON THE FLOOR LAUGHING}" * 200
    labels = (label,) * 100
    report = LessonReport(
        progress=Progress(grammar_points=labels),
        topics_covered=labels,
        new_vocabulary=(Word(word=label, translation=label, language="es"),) * 500,
        grammar_points=labels,
        achievements=labels,
        recommendations=labels,
    )
    message = Finish(ending=Ending(reason="done", seconds=1), report=report).model_dump_json()
    assert len(message.encode()) < MAX_MESSAGE_BYTES


def test_a_tutor_cannot_pass_by_the_checks_of_its_own_progress() -> None:
    """A message built without validation is validated before it is sent."""
    wrong = Progress.model_construct(words_learned=-5)
    with pytest.raises(ValidationError, match="words_learned"):
        Checkpoint(seconds=1, progress=wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["type", "seconds", "progress", "state", "ending", "report", "identity", "words_learned"]
)
messages = st.dictionaries(names, json_values | st.dictionaries(names, json_values)).flatmap(
    lambda body: st.sampled_from(["join", "progress", "finish"]).map(
        lambda kind: json.dumps({**body, "type": kind})
    )
)


@given(messages | st.text() | st.binary())
def test_no_message_whatever_raises_anything_but_a_named_refusal(message: str | bytes) -> None:
    """Fuzzed: it is one of three messages, or a ValidationError."""
    with contextlib.suppress(ValidationError):
        assert isinstance(FROM_JOB.validate_json(message), Join | Checkpoint | Finish)


BLOCKED = """
import asyncio, sys, time
from loqua_host.link.client import open_link
from loqua_host.link.messages import Join

async def main():
    async with open_link(sys.argv[1], "token-1") as link:
        await link.send(Join(identity="maria"))
        time.sleep(1e6)

asyncio.run(main())
"""


async def test_a_job_whose_event_loop_stands_still_is_killed(
    path: Path, recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot say farewell: that is a crash like any other."""
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.5)  # of which it may be silent for five
    with structlog.testing.capture_logs() as logs:
        job = await asyncio.create_subprocess_exec(sys.executable, "-c", BLOCKED, str(path))
        async with asyncio.timeout(60):
            assert await job.wait() == -signal.SIGKILL
    assert await recorder.end_of("1") == [Join(identity="maria")]
    assert "job.hung" in [log["event"] for log in logs]


async def test_a_job_that_waits_for_a_processor_is_not_killed(
    path: Path, recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full machine it would take longer still to start another."""
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(server, "seconds_waited", lambda _: time.monotonic())
    async with open_link(str(path), "token-1") as link:
        await asyncio.sleep(3 * server.MAX_SILENCES * 0.05)
        await link.send(Finish(ending=Ending(reason="done", seconds=1)))
        assert await link.receive() == Recorded()
    assert len(await recorder.end_of("1")) == 1


async def test_a_job_that_has_nothing_to_say_stays_alive(
    path: Path, recorder: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its link says so for it."""
    monkeypatch.setattr(client, "ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.2)
    async with open_link(str(path), "token-1") as link:
        await asyncio.sleep(2 * server.MAX_SILENCES * 0.2)
        await link.send(Finish(ending=Ending(reason="done", seconds=1)))
        assert await link.receive() == Recorded()
    assert len(await recorder.end_of("1")) == 1

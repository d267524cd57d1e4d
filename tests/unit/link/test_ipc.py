"""LiveKit's messages from a job to the host, parsed as data only."""

import asyncio
import contextlib
import io
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.agents.ipc import channel, log_queue, proc_client, proto
from livekit.agents.utils.aio import duplex_unix

from loqua_host.link.ipc import (
    LOG_BURST_BYTES,
    LOG_BYTES_PER_SECOND,
    MAX_FRAME_BYTES,
    MESSAGES_PER_SECOND,
    log_as_json,
    patch_ipc,
    read_record,
    write_record,
)
from loqua_host.ops.logs import configure_logs

UNREADABLE = "job.log_unreadable"

FAILING_JOB = """
import socket
from livekit.agents.ipc import job_proc_lazy_main, proc_client
from loqua_host.link.ipc import log_as_json

def fail(client):
    raise RuntimeError("LiveKit's main loop")

proc_client._ProcClient.run = fail
proc_client._ProcClient.initialize = lambda client: log_as_json()
host, job = socket.socketpair(), socket.socketpair()
job_proc_lazy_main.proc_main(
    job_proc_lazy_main.ProcStartArgs(print, print, None, 1.0, None, host[1], job[1], {})
)
"""
"""What the process of a job does whose main loop fails."""


@pytest.fixture(autouse=True)
def livekit() -> Iterator[None]:
    """Put LiveKit back as it was."""
    before = log_queue.pickle, duplex_unix.struct, channel._read_message  # type: ignore[attr-defined]
    receive, run = duplex_unix._AsyncDuplex.recv_bytes, proc_client._ProcClient.run
    yield
    log_queue.pickle, duplex_unix.struct, channel._read_message = before  # type: ignore[attr-defined]
    duplex_unix._AsyncDuplex.recv_bytes = receive  # type: ignore[method-assign]
    proc_client._ProcClient.run = run  # type: ignore[method-assign]


class RecordHandler(logging.Handler):
    """A handler that stores the records of the host's root logger."""

    def __init__(self) -> None:
        super().__init__()
        self._records: SimpleQueue[logging.LogRecord] = SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._records.put(record)

    def next(self) -> logging.LogRecord:
        """Wait for the next one."""
        return self._records.get(timeout=30)

    @property
    def no_more(self) -> bool:
        """Whether all have been given."""
        return self._records.empty()


@pytest.fixture
def records() -> Iterator[RecordHandler]:
    """Yield the records that reach the host's root logger."""
    handler, root = RecordHandler(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


@pytest.fixture
def job() -> Iterator[socket.socket]:
    """Yield a job's end of LiveKit's log channel; the host's end is LiveKit's own listener."""
    patch_ipc()
    ours, theirs = socket.socketpair()
    listener = log_queue.LogQueueListener(duplex_unix._Duplex.open(ours), lambda _record: None)
    listener.start()
    yield theirs
    theirs.close()
    listener.stop()


def frame(data: bytes) -> bytes:
    """Return data as LiveKit frames it."""
    return struct.pack("!I", len(data)) + data


def sent(msg: str = "word.learned", **fields: Any) -> bytes:
    """Return a record as a job sends it."""
    record = logging.makeLogRecord(
        {"name": "loqua_host.tutor", "levelno": logging.WARNING, "msg": msg, **fields}
    )
    return write_record(record)


class Hostile:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a call for unpickling to make."""
        return os.system, (f"touch {self.mark}",)


def test_livekit_runs_what_a_job_logs_where_nobody_stops_it(tmp_path: Path) -> None:
    """The reason for all this; when it fails, LiveKit has changed and so must we."""
    ours, theirs = socket.socketpair()
    done = threading.Event()
    listener = log_queue.LogQueueListener(
        duplex_unix._Duplex.open(ours), lambda _record: done.set()
    )
    listener.start()
    fields = {"name": "nobody", "levelno": 20, "msg": Hostile(tmp_path / "r")}
    record = logging.makeLogRecord(fields)
    theirs.sendall(frame(pickle.dumps(record)))
    assert done.wait(5)
    theirs.close()
    listener.stop()
    assert (tmp_path / "r").exists()


@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"msg": bad}, lambda bad: [bad]])
def test_a_job_cannot_run_code_in_the_host_by_what_it_logs(
    job: socket.socket,
    records: RecordHandler,
    tmp_path: Path,
    wrap: Callable[[Any], Any],
) -> None:
    """Its pickle is not opened, and what it logs next is heard."""
    mark = tmp_path / "ran"
    job.sendall(frame(pickle.dumps(wrap(Hostile(mark)))))
    job.sendall(frame(sent("later", user_id="maria")))
    assert records.next().msg == UNREADABLE
    later = vars(records.next())
    assert (later["msg"], later["user_id"]) == ("later", "maria")
    assert not mark.exists()


def test_what_a_job_logs_reaches_the_host_by_livekits_own_handler(
    job: socket.socket, records: RecordHandler
) -> None:
    """Both ends are LiveKit's; only what stands for pickle is ours."""
    both = log_queue.pickle  # type: ignore[attr-defined]
    log_as_json()
    both.dumps = log_queue.pickle.dumps  # type: ignore[attr-defined]
    log_queue.pickle = both  # type: ignore[attr-defined]
    handler = log_queue.LogQueueHandler(duplex_unix._Duplex.open(job.dup()))
    trace = (ValueError, ValueError("of the tutor"), None)
    record = logging.LogRecord("loqua_host", logging.ERROR, "", 0, "a %s", ("b",), trace)
    record.where = Path("here")
    handler.emit(record)
    handler.close()
    handler.thread.join()
    relayed = records.next()
    assert relayed.getMessage() == "a b\nValueError: of the tutor"
    assert vars(relayed)["where"] == "here"
    assert relayed.levelname == "ERROR"


def test_a_job_is_not_listened_to_after_a_frame_beyond_all_measure(
    job: socket.socket, records: RecordHandler
) -> None:
    """The host keeps no gigabytes for it."""
    job.sendall(frame(sent("first")))
    job.sendall(struct.pack("!I", MAX_FRAME_BYTES + 1))
    with contextlib.suppress(BrokenPipeError):  # the host may have hung up by now
        job.sendall(b" " * 1000)
        job.sendall(frame(sent("last")))
    assert records.next().msg == "first"
    job.shutdown(socket.SHUT_WR)
    assert records.no_more


def test_a_job_that_logs_without_end_waits_and_the_host_does_not(
    job: socket.socket, records: RecordHandler
) -> None:
    """Beyond the burst, records arrive at the host's rate."""
    text = "m" * (MAX_FRAME_BYTES // 2)
    beyond = LOG_BYTES_PER_SECOND // 2
    began = time.monotonic()
    for _ in range(LOG_BURST_BYTES // len(text)):
        job.sendall(frame(sent(text)))
    job.sendall(frame(sent("m" * beyond)))
    job.sendall(frame(sent("last")))
    while records.next().msg != "last":
        pass
    assert time.monotonic() - began > 0.4


def test_a_record_too_long_for_a_frame_is_shortened() -> None:
    """The job's next ones are still heard."""
    data = sent("m" * MAX_FRAME_BYTES, more="x")
    assert len(data) < MAX_FRAME_BYTES
    record = read_record(data)
    assert vars(record)["shortened"] is True
    assert record.getMessage() == "m" * len(record.getMessage())


def test_half_a_character_is_replaced() -> None:
    """Speech engines send them; UTF-8 has none."""
    assert read_record(sent("a\ud800b", field="\udfff")).getMessage() == "a?b"


@pytest.mark.parametrize(
    "field",
    ["getMessage", "__class__", "_logger", "_name", "args", "exc_info", "exc_text", "levelname"],
)
def test_a_field_replaces_nothing_that_logging_uses(field: str) -> None:
    """`%999999999d` among the arguments, or a method that is a text."""
    fields = f'{{"name": "n", "levelno": 20, "msg": "%d %s", "{field}": [1, "x"]}}'
    record = read_record(fields.encode())
    assert record.getMessage() == "%d %s"
    assert vars(record).get(field) != [1, "x"]


def test_a_logger_that_the_host_does_not_have_is_not_made() -> None:
    """It would stay for ever; the closest one speaks for it."""
    before = set(logging.Logger.manager.loggerDict)
    logging.getLogger("loqua_host")
    assert read_record(sent(name="loqua_host.no.such")).name == "loqua_host"
    assert read_record(sent(name="no.such")).name == ""
    assert set(logging.Logger.manager.loggerDict) - before <= {"loqua_host"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"name": "n", "levelno": 20}',
        b'{"name": "n", "levelno": "high", "msg": "m"}',
        b'{"name": "n", "levelno": 1e9, "msg": "m"}',
        b'{"name": "n", "levelno": 20, "msg": 3}',
        b'{"name": "n", "levelno": 20, "msg": "m", "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_record_of_wrong_types_is_not_passed_on(data: bytes) -> None:
    """Loggers would stumble over it."""
    assert read_record(data).msg == UNREADABLE


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine, not of the test
@given(st.binary() | st.binary().map(lambda noise: sent()[:-5] + noise))
def test_no_bytes_whatever_raise(data: bytes) -> None:
    """The thread that reads a job's log outlives whatever the job writes to it."""
    assert isinstance(read_record(data), logging.LogRecord)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), st.none() | st.text() | st.floats() | st.lists(st.text())))
def test_whatever_fields_a_job_adds_make_one_line(fields: dict[str, Any]) -> None:
    """The host renders a job's record as it renders its own."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logs("text", "info", stream)
        record = read_record(write_record(logging.makeLogRecord(fields | {"levelno": 20})))
        root.handlers[0].handle(record)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert stream.getvalue().count("\n") == 1


async def received(data: bytes) -> channel.Message:
    """Return what the host takes from a job's other channel."""
    ours, theirs = socket.socketpair()
    duplex = await duplex_unix._AsyncDuplex.open(ours)
    try:
        theirs.sendall(data)
        async with asyncio.timeout(30):
            return await channel.arecv_message(duplex, proto.IPC_MESSAGES)
    finally:
        await duplex.aclose()
        theirs.close()


@pytest.mark.parametrize(
    "message",
    [
        proto.InitializeResponse("failed"),
        proto.PongResponse(1, 2),
        proto.Exiting("done"),
        proto.ShutdownRequestAck(),
        proto.ShuttingDown(),
    ],
)
async def test_livekits_messages_from_a_job_are_taken(message: channel.Message) -> None:
    """They have LiveKit's format."""
    patch_ipc()
    assert await received(frame(channel._write_message(message))) == message


@pytest.mark.parametrize(
    "data",
    [
        frame(b""),
        frame(b"\x00\x00\x00\x63"),
        frame(channel._write_message(proto.Exiting("x"))[:4] + b"\x00\x00\x00\x01\xff"),
        frame(channel._write_message(proto.ShutdownRequest("the host's to say"))),
        frame(struct.pack("!i", proto.StartJobRequest.MSG_ID) + b"\xff" * 100),
        struct.pack("!I", MAX_FRAME_BYTES + 1),
    ],
    ids=["empty", "unknown", "not UTF-8", "the host's", "a forged job", "too long"],
)
async def test_any_other_message_ends_the_channel(data: bytes) -> None:
    """LiveKit takes that for the end of the job, instead of stumbling."""
    patch_ipc()
    with pytest.raises(duplex_unix.DuplexClosed):
        await received(data)


async def test_requests_for_inference_carry_nothing() -> None:
    """The host has no model; a flood of requests must not fill its memory."""
    patch_ipc()
    asked = proto.InferenceRequest("m", "1", b"x" * 1000)
    taken = await received(frame(channel._write_message(asked)))
    assert taken == proto.InferenceRequest("m", "1", b"")


async def test_a_flood_of_messages_is_read_at_the_hosts_pace() -> None:
    """Everybody else is served in between."""
    patch_ipc()
    ours, theirs = socket.socketpair()
    duplex = await duplex_unix._AsyncDuplex.open(ours)
    theirs.sendall(frame(channel._write_message(proto.ShuttingDown())) * 2 * MESSAGES_PER_SECOND)
    began = time.monotonic()
    for _ in range(2 * MESSAGES_PER_SECOND):
        await channel.arecv_message(duplex, proto.IPC_MESSAGES)
    assert time.monotonic() - began > 0.9
    await duplex.aclose()
    theirs.close()


def test_nothing_else_of_livekit_unpickles() -> None:
    """If this fails, check what the new LiveKit reads from its jobs."""
    package = Path(log_queue.__file__).parents[1]
    unpickling = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "pickle.load" in file.read_text()
    }
    assert unpickling == {"ipc/log_queue.py"}


def test_a_jobs_process_ends_though_livekits_main_loop_fails() -> None:
    """The thread that sends logs would keep it and the forkserver alive after the host's end."""
    ended = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", FAILING_JOB], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, "LiveKit's main loop" in ended.stderr) == (1, True)

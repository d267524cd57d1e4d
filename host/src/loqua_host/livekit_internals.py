"""All private names of LiveKit that the host uses or patches.

`INTERNALS` names each part with the reason and the version it was seen in. When a release of
LiveKit changes the source of one, its test fails: read the new source, change what is here, and
write the new version and fingerprint. The patches change LiveKit for a whole process and are
applied once, at its start: those of the host by `loqua_host.host`, those of a job and of the
announcements by their entry points.
"""

import asyncio
import logging
import os
import shutil
import struct
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partialmethod, wraps
from importlib import import_module
from logging import LogRecord
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp
import httpcore2
import structlog
from livekit import rtc
from livekit.agents import AgentServer, AgentSession, JobContext, inference
from livekit.agents import job as agents_job
from livekit.agents.ipc import channel, job_proc_executor, log_queue
from livekit.agents.ipc.job_executor import JobExecutor
from livekit.agents.ipc.job_proc_lazy_main import ProcStartArgs, proc_main
from livekit.agents.ipc.proc_client import _ProcClient
from livekit.agents.ipc.proc_pool import ProcPool
from livekit.agents.ipc.supervised_proc import SupervisedProc
from livekit.agents.job import RunningJobInfo
from livekit.agents.utils import http_context
from livekit.agents.utils.aio import duplex_unix
from livekit.agents.voice.remote_session import (
    TOPIC_SESSION_MESSAGES,
    RoomSessionTransport,
    SessionHost,
)
from livekit.agents.voice.room_io import (
    RoomIO,
    _ParticipantAudioOutput,
    _ParticipantTranscriptionOutput,
)
from livekit.rtc import _ffi_client

__all__ = [
    "INTERNALS",
    "TIMELINE_TOPIC",
    "TIMELINE_WATCHER",
    "Internal",
    "JobChannel",
    "JobProcessStatus",
    "PlayedSource",
    "ProcStartArgs",
    "TrackOutput",
    "TranscriptionOutput",
    "accept_sources",
    "close_log",
    "failed_starts",
    "follow_proxy_variables",
    "forget_session",
    "is_connecting",
    "job_info",
    "leave_before_loop_ends",
    "on_process_closed",
    "patch_workers",
    "preload_livekit",
    "process_id",
    "processes_of",
    "read_certificates",
    "read_from_jobs",
    "read_message",
    "receive_bytes",
    "run_job_process",
    "run_jobs_by",
    "send_timeline",
    "setup_of",
    "sharing_certificates",
    "silence_native_log",
    "stop_transcribing",
    "use_key",
    "write_to_host",
]

log = structlog.get_logger()

TIMELINE_TOPIC: Final = TOPIC_SESSION_MESSAGES
"""The topic of LiveKit's byte streams with events of a session."""

TIMELINE_WATCHER: Final = "loqua-timeline"
"""The identity of the only participant that a timeline is sent to."""

LOG_SECONDS: Final = 5.0
"""Seconds for a job's last log records, which the host reads at its own pace."""

LONGEST_PAUSE = 30.0
"""Seconds between two attempts to start a job's process, at most."""


@dataclass(frozen=True, slots=True)
class Internal:
    """A private part of a package, which may change in any release.

    Attributes:
        source: Where it is defined, as `module:qualified.name`.
        names: What of it is used or replaced.
        why: What for.
        seen: The release that it was seen in.
        fingerprint: The first digits of the SHA-256 of its source in that release.
    """

    source: str
    names: tuple[str, ...]
    why: str
    seen: str
    fingerprint: str


AGENTS: Final = "livekit-agents 1.8.9"
RTC: Final = "livekit 1.1.21"
HTTPX: Final = "httpx2 2.16.2"

INTERNALS: Final = (
    Internal(
        "livekit.agents.worker:AgentServer._connection_task",
        ("_connecting", "_api_key", "_api_secret"),
        "nothing else shows whether a worker has lost LiveKit; and each registration reads the "
        "key, which update_options takes from no worker that runs",
        AGENTS,
        "3612680de496",
    ),
    Internal(
        "livekit.agents.worker:AgentServer.run",
        ("_proc_pool",),
        "only the pool knows which process runs a job, and when it has ended",
        AGENTS,
        "c1b3801c72af",
    ),
    Internal(
        "livekit.agents.ipc.job_proc_executor:ProcJobExecutor._create_process",
        ("proc_main", "ProcStartArgs", "initialize_process_fnc"),
        "a sandbox holds for all threads of a process only if it is entered before the first",
        AGENTS,
        "2a3d95e2a659",
    ),
    Internal(
        "livekit.agents.ipc.proc_pool:ProcPool._proc_spawn_task",
        ("_proc_spawn_task",),
        "where no process can be started, LiveKit tries ten times a second, for each tutor",
        AGENTS,
        "f48525e2eade",
    ),
    Internal(
        "livekit.agents.ipc.supervised_proc:SupervisedProc.join",
        ("join",),
        "a worker that drains asks for jobs until its pool has forgotten them; where two end at "
        "once, the pool has no turn to do so, for ever",
        AGENTS,
        "5a82bba0c86e",
    ),
    Internal(
        "livekit.agents.ipc.log_queue:LogQueueListener._monitor",
        ("pickle",),
        "the host unpickles what a job logs, so that a tutor could run code where the secrets are",
        AGENTS,
        "5c5329fcaa57",
    ),
    Internal(
        "livekit.agents.ipc.log_queue:LogQueueHandler.emit",
        ("pickle",),
        "the other end of the same",
        AGENTS,
        "6157389e4696",
    ),
    Internal(
        "livekit.agents.ipc.job_proc_lazy_main:proc_main",
        ("_ProcClient", "run"),
        "where its main loop fails, a thread keeps the process of a job, also after a killed host",
        AGENTS,
        "9537bb5efb50",
    ),
    Internal(
        "livekit.agents.job:JobContext.__init__",
        ("tempfile", "_tempdir"),
        "each job makes a directory that hardly any needs, and fails where it cannot",
        AGENTS,
        "8f6af500473b",
    ),
    Internal(
        "livekit.agents.ipc.proc_client:_ProcClient",
        ("_monitor_task",),
        "once the host is gone, it cancels every task at once, those that leave the room, too",
        AGENTS,
        "08c70b582a41",
    ),
    Internal(
        "livekit.agents.ipc.job_proc_lazy_main:_JobProc._run_job_task",
        ("job_user_entrypoint",),
        "the name of the task that runs a job's entry point",
        AGENTS,
        "28e2adf6c63f",
    ),
    Internal(
        "livekit.agents.utils.aio.duplex_unix:_AsyncDuplex",
        ("_AsyncDuplex", "recv_bytes", "struct"),
        "the host takes frames of up to 4 GiB from a job, as fast as they come",
        AGENTS,
        "d15541533797",
    ),
    Internal(
        "livekit.agents.utils.aio.duplex_unix:_Duplex.recv_bytes",
        ("struct",),
        "the same for what a job logs",
        AGENTS,
        "6839582cf2ed",
    ),
    Internal(
        "livekit.agents.ipc.channel:_read_message",
        ("_read_message",),
        "a malformed message from a job raises in the host",
        AGENTS,
        "4e967a89c326",
    ),
    Internal(
        "livekit.agents.job:JobContext.__init__",
        ("_info", "_primary_agent_session"),
        "a job shows the host its room token; and LiveKit would wait a minute, with the tutor in "
        "the room, for a session that does not close",
        AGENTS,
        "8f6af500473b",
    ),
    Internal(
        "livekit.agents.voice.room_io._input:_ParticipantInputStream.__init__",
        ("_accepted_sources",),
        "LiveKit listens to what is published as a microphone alone; several SDKs name no source",
        AGENTS,
        "1e23abf2689e",
    ),
    Internal(
        "livekit.agents.voice.room_io.room_io:RoomIO._on_user_input_transcribed",
        ("_on_user_input_transcribed",),
        "LiveKit writes the transcripts of several learners in the name of one",
        AGENTS,
        "4be53e59adad",
    ),
    Internal(
        "livekit.agents.voice.room_io._output:_ParticipantTranscriptionOutput",
        ("_ParticipantTranscriptionOutput",),
        "what writes them instead, one for each learner",
        AGENTS,
        "fc107f63f461",
    ),
    Internal(
        "livekit.agents.voice.room_io._output:_ParticipantAudioOutput",
        ("_ParticipantAudioOutput", "_audio_source"),
        "a session publishes its track when it starts, and the first sound waits for it; its "
        "source gets frames when they are played, not when they are synthesised",
        AGENTS,
        "ac8c238fbcd6",
    ),
    Internal(
        "livekit.agents.voice.remote_session:SessionHost",
        ("register_session", "_recv_loop"),
        "a session's timeline is sent by it alone",
        AGENTS,
        "63282376bb4b",
    ),
    Internal(
        "livekit.agents.voice.remote_session:RoomSessionTransport",
        ("register_byte_stream_handler", "destination_identities"),
        "as LiveKit starts it, whoever is in the room could read and drive the session",
        AGENTS,
        "e1b45ad64bd4",
    ),
    Internal(
        "livekit.agents.utils.http_context:_new_session_ctx",
        ("aiohttp",),
        "the session that plugins share uses the worker's proxy for every address, NO_PROXY or not",
        AGENTS,
        "1aab8548cfb1",
    ),
    Internal(
        "livekit.agents.utils.http_context:_create_ssl_context",
        ("_create_ssl_context",),
        "it keeps what it has read; left to a job, reading stops its event loop",
        AGENTS,
        "8cfa035ae845",
    ),
    Internal(
        "httpx2._config:create_ssl_context",
        ("default_ssl_context",),
        "each client of an engine reads the system's certificates, towards loopback too: 40 ms of "
        "CPU in a lesson's start, and ten times that on a busy machine",
        HTTPX,
        "b065dbce7b1a",
    ),
    Internal(
        "livekit.rtc._ffi_client:FfiClient.__init__",
        ("get_ffi_lib",),
        "the library hands Python every line of its log, to be dropped there: 0.15 s of CPU for "
        "each room that is entered, three times what entering takes",
        RTC,
        "c25333442994",
    ),
    Internal(
        "livekit.rtc.event_emitter:EventEmitter.emit",
        ("_events",),
        "one handler's TypeError costs all others the event, and is raised at whoever caused it",
        RTC,
        "fb48ed171899",
    ),
    Internal(
        "livekit.agents.tts.fallback_adapter:FallbackAdapter.__init__",
        ("_tts_instances", "_status"),
        "which engines fail is known from other lessons",
        AGENTS,
        "7794e1b50d71",
    ),
    Internal(
        "livekit.agents.tts.tts:TTS.__init__",
        ("_capabilities",),
        "it speaks by sentences: of a stream that is broken off all the rest would be lost",
        AGENTS,
        "1317148c2666",
    ),
    Internal(
        "livekit.agents.tts.fallback_adapter:FallbackChunkedStream",
        ("_fallback_adapter", "_input_text", "_tts", "_run", "_try_synthesize", "_try_recovery"),
        "a sentence that an engine broke off is lost; probes are made for each sentence",
        AGENTS,
        "2de4578782ec",
    ),
    Internal(
        "livekit.agents.llm.fallback_adapter:FallbackAdapter.__init__",
        ("_llm_instances", "_status"),
        "as for voices",
        AGENTS,
        "128902fb1657",
    ),
    Internal(
        "livekit.agents.llm.fallback_adapter:FallbackLLMStream",
        ("_fallback_adapter", "_try_generate", "_try_recovery"),
        "an answer that a model broke off is lost",
        AGENTS,
        "e343223e9343",
    ),
    Internal(
        "livekit.agents.inference.eot.detector:TurnDetector._warn_threshold_override",
        ("_opts", "thresholds"),
        "thresholds of one's own are warned of in each lesson, and are not a factor of LiveKit's",
        AGENTS,
        "e7b00bef687b",
    ),
    Internal(
        "livekit.agents.stt.fallback_adapter:FallbackAdapter",
        ("_stt_instances", "_status", "_capabilities", "_try_recognize", "_try_recovery"),
        "an engine that hangs is waited for; one that is well again is not used in streams",
        AGENTS,
        "8657caa4dbd1",
    ),
    Internal(
        "livekit.agents.stt.stream_adapter:StreamAdapter.__init__",
        ("_vad",),
        "recognition that begins in a pause follows the same detection",
        AGENTS,
        "c3d975b32257",
    ),
    Internal(
        "livekit.agents.stt.stt:RecognizeStream",
        ("_run", "_event_ch", "_input_ch", "_conn_options", "_start_time", "_FlushSentinel"),
        "what an engine was hearing when it failed is lost",
        AGENTS,
        "f99d99335fc6",
    ),
    Internal(
        "livekit.agents.stt.stt:STT",
        ("_recognize_impl",),
        "the test kit's recognition, which is given the words, must define it",
        AGENTS,
        "41da5c899fb1",
    ),
)


def _replace(owner: object, name: str, replacement: object) -> None:
    """Put something of ours in the place of LiveKit's."""
    setattr(owner, name, replacement)


# --- LiveKit's worker, in the host ---

_start_process = ProcPool._proc_spawn_task
_join = SupervisedProc.join
_failed_starts: WeakKeyDictionary[ProcPool, int] = WeakKeyDictionary()


def is_connecting(server: AgentServer) -> bool:
    """Return whether a worker has lost LiveKit and connects again."""
    return server._connecting


def use_key(server: AgentServer, key: str, secret: str) -> None:
    """Make a running worker register with another key from its next registration."""
    server._api_key = key
    server._api_secret = secret


def failed_starts(server: AgentServer) -> int:
    """Return how many processes of a worker failed to get ready since one last did."""
    return _failed_starts.get(server._proc_pool, 0)


def on_process_closed(server: AgentServer, handler: Callable[[JobExecutor], None]) -> None:
    """Call a handler with each process of a worker that has ended."""
    server._proc_pool.on("process_closed", handler)


@dataclass(frozen=True, slots=True)
class JobProcessStatus:
    """A process of a worker that waits for a job or runs one."""

    pid: int
    job_id: str | None


def process_id(process: JobExecutor) -> int:
    """Return the id of a job's process, 0 if it has never been started."""
    return getattr(process, "pid", None) or 0


def processes_of(server: AgentServer) -> list[JobProcessStatus]:
    """Return the processes of a worker that have been started."""
    return [
        JobProcessStatus(one.pid, one.running_job.job.id if one.running_job else None)
        for one in server._proc_pool.processes
        if isinstance(one, SupervisedProc) and one.pid is not None
    ]


def run_jobs_by(main: Callable[[ProcStartArgs], None]) -> None:
    """Make job processes run this function, which calls `run_job_process`."""
    _replace(job_proc_executor, "proc_main", main)


def run_job_process(start: ProcStartArgs) -> None:
    """Run LiveKit's main function of a job process."""
    _replace(agents_job, "tempfile", SimpleNamespace(TemporaryDirectory=_SessionDirectory))
    proc_main(start)


class _SessionDirectory:
    """The directory for recordings of a session, which LiveKit makes when it writes to it.

    Made for each job, as LiveKit does, it would cost a learner their lesson where somebody has
    cleaned up the directories for temporary files.
    """

    def __init__(self) -> None:
        self.name = str(Path(os.environ.get("TMPDIR", "/tmp")) / "session")  # noqa: S108  # the sandbox names its own

    def cleanup(self) -> None:
        """Remove it."""
        shutil.rmtree(self.name, ignore_errors=True)


def close_log() -> None:
    """Send what this job process has logged; none is sent afterwards."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, log_queue.LogQueueHandler):
            handler.close()
            handler.thread.join(LOG_SECONDS)


def preload_livekit() -> None:
    """Import what LiveKit preloads for jobs, but for OpenAI's SDK, which few tutors use."""
    modules: dict[str, Any] = sys.modules
    if modules.setdefault("openai.resources", None) is not None:
        import_module("livekit.agents.ipc._preload")
        return
    try:  # None makes an import fail; LiveKit goes on without what it cannot preload.
        import_module("livekit.agents.ipc._preload")
    finally:
        del modules["openai.resources"]


def setup_of(start: ProcStartArgs) -> object:
    """Return the worker's `setup_fnc`, which a process is started with."""
    return start.initialize_process_fnc


def patch_workers() -> None:
    """Change how all workers of this process start processes for jobs and wait for their ends."""
    _replace(ProcPool, "_proc_spawn_task", _start_at_a_pace)
    _replace(SupervisedProc, "join", _join_in_turn)


async def _start_at_a_pace(pool: ProcPool) -> None:
    """Start a process; after one that did not get ready, return only when the next may be tried.

    A pool starts no more than it lacks, and those that are under way count.
    """
    ready = asyncio.Event()

    def note(_process: object) -> None:
        ready.set()

    pool.on("process_ready", note)
    try:
        await _start_process(pool)
    finally:
        pool.off("process_ready", note)
    if ready.is_set():
        _failed_starts.pop(pool, None)
    else:
        failures = _failed_starts[pool] = _failed_starts.get(pool, 0) + 1
        pause = min(2.0 ** min(failures, 10) / 2, LONGEST_PAUSE)
        log.error("job.process_failed", in_a_row=failures, again_in=pause)
        await asyncio.sleep(pause)


async def _join_in_turn(process: SupervisedProc) -> None:
    """Wait for the end of a job's process, giving others a turn even if it has ended."""
    await asyncio.sleep(0)
    await _join(process)


# --- what jobs send to the host ---

JobChannel = duplex_unix._AsyncDuplex
receive_bytes = duplex_unix._AsyncDuplex.recv_bytes
read_message = channel._read_message


def read_from_jobs(
    *,
    record: Callable[[bytes], LogRecord],
    length: Callable[[str, bytes], tuple[int]],
    receive: Callable[[JobChannel], Awaitable[bytes]],
    message: Callable[[bytes, channel.MessagesDict], channel.Message],
) -> None:
    """Replace the functions by which this process reads what jobs send.

    Args:
        record: In place of unpickling a log record.
        length: In place of `struct.unpack` for the length of a frame.
        receive: In place of `receive_bytes`.
        message: In place of `read_message`.
    """
    _replace(log_queue, "pickle", SimpleNamespace(loads=record))
    _replace(duplex_unix, "struct", SimpleNamespace(pack=struct.pack, unpack=length))
    _replace(duplex_unix._AsyncDuplex, "recv_bytes", receive)
    _replace(channel, "_read_message", message)


def write_to_host(record: Callable[[LogRecord], bytes]) -> None:
    """Replace the function by which this job process sends log records: no pickles.

    Call it before LiveKit's main loop runs. If that fails, as it may when the host is killed, the
    thread that sends records ends, too.
    """
    _replace(log_queue, "pickle", SimpleNamespace(dumps=record))
    _replace(_ProcClient, "run", partialmethod(_run_with_log, _ProcClient.run))


def _run_with_log(client: _ProcClient, run: Callable[[_ProcClient], None]) -> None:
    """Run a job process's main loop; the thread would keep the process, and its forkserver."""
    try:
        run(client)
    except BaseException:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, log_queue.LogQueueHandler):
                handler.close()
        raise


def leave_before_loop_ends() -> None:
    """Make this job process end its lesson before LiveKit cancels all other tasks.

    When the host is killed, LiveKit cancels every task at once: the one that is leaving the room,
    too, and the one that hears when the room has been left. The process would then end before its
    farewell is sent, and its tutor stay in the room until LiveKit misses it, 15 s later.
    """
    _replace(_ProcClient, "_monitor_task", partialmethod(_follow_host, _ProcClient._monitor_task))


async def _follow_host(
    client: _ProcClient, follow: Callable[[_ProcClient], Coroutine[Any, Any, None]]
) -> None:
    """Wait until the host is gone; then cancel the entry point only, and await it."""
    try:
        await follow(client)
    finally:
        if entries := [it for it in asyncio.all_tasks() if it.get_name() == "job_user_entrypoint"]:
            for entry in entries:
                entry.cancel()
            await asyncio.wait(entries)


# --- a lesson's job ---


def job_info(ctx: JobContext) -> RunningJobInfo:
    """Return where a job connects, and its room token."""
    return ctx._info


def forget_session(ctx: JobContext) -> None:
    """Remove a session that does not close from those LiveKit closes at the job's end."""
    ctx._primary_agent_session = None


def accept_sources(room_io: RoomIO, sources: Collection[int]) -> Any:
    """Make a session accept tracks of these sources too; return its audio input, if any."""
    heard: Any = room_io.audio_input
    if heard is not None:
        heard._accepted_sources.update(sources)
    return heard


class PlayedSource(rtc.AudioSource):
    """An audio source that says what it plays, and what is dropped before.

    Attributes:
        on_frame: Called with each frame, which is played after those before it.
        on_clear: Called when what is not played yet never will be.
    """

    on_frame: Callable[[rtc.AudioFrame], None] | None = None
    on_clear: Callable[[], None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame."""
        if self.on_frame is not None:
            self.on_frame(frame)
        await super().capture_frame(frame)

    def clear_queue(self) -> None:
        """Drop what is not played yet."""
        if self.on_clear is not None:
            self.on_clear()
        super().clear_queue()


class TrackOutput(_ParticipantAudioOutput):
    """Publishes an audio track in a room, and plays there.

    Attributes:
        source: What it plays from: its frames come when they are played, not when synthesised.
    """

    def __init__(self, room: rtc.Room, **options: Any) -> None:
        super().__init__(room, **options)
        queued_ms = 200  # LiveKit's value
        rate, channels = self._audio_source.sample_rate, self._audio_source.num_channels
        self.source = PlayedSource(rate, channels, queue_size_ms=queued_ms)
        self._audio_source = self.source


TranscriptionOutput = _ParticipantTranscriptionOutput
"""LiveKit's output that publishes one participant's transcripts."""


def raise_thresholds(detector: inference.TurnDetector, factor: float) -> None:
    """Multiply the probabilities, by language, from which a turn is taken to be over."""
    thresholds = detector._opts.thresholds
    raised = {language: it * factor for language, it in thresholds.thresholds.items()}
    thresholds.update_overrides({language: min(it, 1.0) for language, it in raised.items()})


def stop_transcribing(session: "AgentSession[Any]") -> None:
    """Stop a session from publishing the learner's transcript; the tutor's is still published."""
    session.off("user_input_transcribed", session.room_io._on_user_input_transcribed)


def no_room_io() -> Any:
    """Return what a voice session has in place of its connection with a room."""
    return SimpleNamespace(
        audio_input=None,
        set_participant=lambda _identity: None,
        _on_user_input_transcribed=lambda _event: None,
    )


_MCP_CALLS = ("initialize", "list_tools", "_call_tool", "aclose")


@contextmanager
def around_mcp_calls(wait: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Make agents call their MCP servers inside `wait()`, for the duration of a block.

    LiveKit has no event before a server answers.

    Args:
        wait: Makes what each call runs in.
    """
    try:
        from livekit.agents.llm.mcp import MCPServer  # noqa: PLC0415  # an extra of LiveKit's
    except ImportError:
        yield
        return
    own = {name: vars(MCPServer)[name] for name in _MCP_CALLS}
    for name, method in own.items():
        _replace(MCPServer, name, _inside(wait, method))
    try:
        yield
    finally:
        for name, method in own.items():
            _replace(MCPServer, name, method)


def _inside(
    wait: Callable[[], AbstractContextManager[None]], method: Callable[..., Any]
) -> Callable[..., Any]:
    @wraps(method)
    async def call(*arguments: Any, **options: Any) -> Any:
        with wait():
            return await method(*arguments, **options)

    return call


# --- HTTP and TLS of engines ---


def follow_proxy_variables() -> None:
    """Make the HTTP session that LiveKit's plugins share honour the proxy variables."""
    made_by = SimpleNamespace(ClientSession=_open_session, TCPConnector=aiohttp.TCPConnector)
    _replace(http_context, "aiohttp", made_by)


def _open_session(*, proxy: object, connector: Any) -> aiohttp.ClientSession:
    del proxy
    return aiohttp.ClientSession(connector=connector, trust_env=True)


_create_context = httpcore2.default_ssl_context
_shared_context = cache(_create_context)


def read_certificates() -> None:
    """Read the system's certificates once for all processes that are forked from this one.

    Raises:
        OSError: If they cannot be read.
    """
    _shared_context(_trust_env=True)  # as httpx2 calls it
    http_context._create_ssl_context()  # for aiohttp


@contextmanager
def sharing_certificates() -> Iterator[None]:
    """Share one TLS context among the HTTP clients created within the block.

    Only those: what a tutor makes for itself it may change as it likes.
    """
    _replace(httpcore2, "default_ssl_context", _shared_context)
    try:
        yield
    finally:
        _replace(httpcore2, "default_ssl_context", _create_context)


# --- LiveKit's native library ---


def silence_native_log() -> None:
    """Silence the native library's log; call this before the process first uses it.

    It comes from threads of its own, also as Python ends. Before Python 3.14, a thread that calls
    Python then is ended, which Rust takes for a panic and aborts the process.
    """
    os.environ.setdefault("RUST_LOG", "off")  # without Python it would go to standard error
    load = _ffi_client.get_ffi_lib
    _replace(_ffi_client, "get_ffi_lib", lambda: _Library(load()))


class _Library:
    """The library, started without its log."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.livekit_ffi_initialize = _Start(library.livekit_ffi_initialize)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


class _Start:
    """The C function that starts the library and takes its arguments' types as an attribute."""

    def __init__(self, start: Any) -> None:
        self._start = start

    @property
    def argtypes(self) -> Any:
        """The types of its arguments."""
        return self._start.argtypes

    @argtypes.setter
    def argtypes(self, types: Any) -> None:
        self._start.argtypes = types

    def __call__(self, callback: object, _with_log: object, *client: bytes) -> object:
        """Start it."""
        return self._start(callback, False, *client)


class _OneWayTransport(RoomSessionTransport):
    """A transport that sends to one participant and ignores requests, which anyone could send."""

    async def start(self) -> None:
        """Register no handler."""


async def send_timeline(session: "AgentSession[None]", room: rtc.Room) -> None:
    """Send the events of a session to `TIMELINE_WATCHER`, until cancelled.

    They contain what is said, so that this is for development only.
    """
    host = SessionHost(_OneWayTransport(room, TIMELINE_WATCHER))
    host.register_session(session)
    await host.start()
    try:
        await asyncio.Event().wait()
    finally:
        await host.aclose()

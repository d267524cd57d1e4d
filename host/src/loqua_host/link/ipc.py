"""LiveKit's own channels from a job to the host, parsed as data only.

LiveKit trusts its jobs (see `livekit_internals`). So job and host put JSON in the pickles' place,
and the host bounds, paces and checks the rest.
"""

import json
import logging
import struct
import threading
import time
from collections.abc import Callable
from typing import Annotated
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter
from livekit.agents.ipc import channel, proto
from livekit.agents.utils.aio.duplex_unix import DuplexClosed
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from loqua_host.livekit_internals import (
    JobChannel,
    read_from_jobs,
    read_message,
    receive_bytes,
    write_to_host,
)

__all__ = [
    "MAX_FRAME_BYTES",
    "STANDARD",
    "log_as_json",
    "patch_ipc",
    "read_record",
    "write_record",
]

MAX_FRAME_BYTES = 1024 * 1024
"""Maximum bytes of a message; a job that sends more is ignored from then on."""

LOG_BYTES_PER_SECOND = 256 * 1024
LOG_BURST_BYTES = 2 * MAX_FRAME_BYTES
RECORD_BYTES = 512
"""The maximum rate of a job's log; each record counts `RECORD_BYTES` more."""

MESSAGES_PER_SECOND = 50
"""The maximum rate of a job's messages; LiveKit sends one in two seconds."""

MAX_TEXT = 64 * 1024
"""Characters to which a record that is too long for a frame is cut."""

STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})
"""The standard attributes of a log record (logging.Logger.makeRecord)."""

_FROM_JOB = (
    proto.Exiting.MSG_ID,
    proto.InferenceRequest.MSG_ID,
    proto.InitializeResponse.MSG_ID,
    proto.PongResponse.MSG_ID,
    proto.ShutdownRequestAck.MSG_ID,
    proto.ShuttingDown.MSG_ID,
)


def log_as_json() -> None:
    """Send this job process's log records as JSON."""
    write_to_host(write_record)


def patch_ipc() -> None:
    """Accept from jobs only records and messages that are valid and short."""
    read_from_jobs(
        record=_read_slowly,
        length=_read_length,
        receive=_receive_slowly,
        message=_read_message,
    )


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(max_length=256)]
    levelno: Annotated[int, Field(ge=0, le=100)]
    msg: str


def write_record(record: logging.LogRecord) -> bytes:
    """Return a record as JSON; one too long for a frame loses its fields and its end."""
    text = str(record.msg)
    summary = {"name": record.name, "levelno": record.levelno, "msg": text}
    fields = {name: value for name, value in vars(record).items() if name not in STANDARD}
    data = _as_json(fields | summary)
    if len(data) > MAX_FRAME_BYTES:
        data = _as_json(summary | {"msg": text[:MAX_TEXT], "shortened": True})
    return data


def _as_json(fields: dict[str, object]) -> bytes:
    text = json.dumps(fields, default=str, skipkeys=True, ensure_ascii=False)
    return text.encode(errors="replace")  # surrogates are not valid UTF-8


def read_record(data: bytes) -> logging.LogRecord:
    """Return the record that a job logged; what cannot be read becomes a record that says so."""
    try:
        sent = _Record.model_validate_json(data)
    except ValidationError:
        sent = _Record(name=__name__, levelno=logging.WARNING, msg="job.log_unreadable")
    name = _known_logger(sent.name)
    record = logging.LogRecord(name, sent.levelno, "", 0, sent.msg, None, None)
    for key, value in sent.__pydantic_extra__.items():
        if not (key in STANDARD or key.startswith("_") or hasattr(record, key)):
            setattr(record, key, value)
    return record


class _Pace(threading.local):
    """The rate limit of one job's log, which LiveKit reads in a thread of its own."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._left = float(LOG_BURST_BYTES)
        self._at = monotonic()

    def wait(self, size: int) -> None:
        """Sleep until that many bytes may be read; only this job waits."""
        now = self._monotonic()
        earned = (now - self._at) * LOG_BYTES_PER_SECOND
        self._left = min(LOG_BURST_BYTES, self._left + earned) - size
        self._at = now
        if self._left < 0:
            self._sleep(-self._left / LOG_BYTES_PER_SECOND)


_pace = _Pace()
_paces: WeakKeyDictionary[JobChannel, AsyncLimiter] = WeakKeyDictionary()


def _read_slowly(data: bytes) -> logging.LogRecord:
    _pace.wait(len(data) + RECORD_BYTES)
    return read_record(data)


async def _receive_slowly(duplex: JobChannel) -> bytes:
    async with _paces.setdefault(duplex, AsyncLimiter(MESSAGES_PER_SECOND, 1)):
        return await receive_bytes(duplex)


def _known_logger(name: str) -> str:
    """Return the closest logger that this process has: a new one would stay for ever."""
    while name and name not in logging.Logger.manager.loggerDict:
        name = name.rpartition(".")[0]
    return name


def _read_length(form: str, data: bytes) -> tuple[int]:
    (length,) = struct.unpack(form, data)
    if length > MAX_FRAME_BYTES:
        raise EOFError(f"a job sent a frame of {length} bytes")
    return (length,)


def _read_message(data: bytes, messages: channel.MessagesDict) -> channel.Message:
    try:
        message = read_message(data, {id_: messages[id_] for id_ in _FROM_JOB})
    except (LookupError, ValueError) as error:
        raise DuplexClosed from error
    if isinstance(message, proto.InferenceRequest):
        message.data = b""  # the host runs no inference and answers such requests so
    return message

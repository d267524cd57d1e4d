"""LiveKit's own channels from a job to the host, read as data and nothing more.

LiveKit trusts its jobs (livekit-agents 1.8.9): the host unpickles whatever a job logs
(ipc/log_queue.py), takes frames of up to 4 GiB (utils/aio/duplex_unix.py) and stumbles over
malformed ones (ipc/channel.py). A tutor could run code where the secrets are. So job and host
put JSON in the pickles' place, and the host bounds and checks the rest.
"""

import json
import logging
import struct
from types import SimpleNamespace
from typing import Annotated

from livekit.agents.ipc import channel, log_queue, proto
from livekit.agents.utils.aio import duplex_unix
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

__all__ = ["MAX_FRAME_BYTES", "distrust_jobs", "log_as_json", "read_record", "write_record"]

MAX_FRAME_BYTES = 1024 * 1024
"""A job that sends more at once is not listened to any longer."""

MAX_TEXT = 64 * 1024
"""Characters of a record that is too long for a frame."""

_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})
_FROM_JOB = (
    proto.Exiting.MSG_ID,
    proto.InferenceRequest.MSG_ID,
    proto.InitializeResponse.MSG_ID,
    proto.PongResponse.MSG_ID,
    proto.ShutdownRequestAck.MSG_ID,
    proto.ShuttingDown.MSG_ID,
)
_read_any = channel._read_message  # noqa: SLF001  # LiveKit has no public reader


def log_as_json() -> None:
    """Have this job process send its log records as JSON."""
    log_queue.pickle = SimpleNamespace(dumps=write_record)  # type: ignore[attr-defined, assignment]  # what the log handler calls


def distrust_jobs() -> None:
    """Have this process take from jobs only records and messages that are sound and short."""
    log_queue.pickle = SimpleNamespace(loads=read_record)  # type: ignore[attr-defined, assignment]  # the only way in
    duplex_unix.struct = SimpleNamespace(pack=struct.pack, unpack=_read_length)  # type: ignore[attr-defined, assignment]  # both channels measure their frames with it
    channel._read_message = _read_message  # noqa: SLF001  # likewise


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(max_length=256)]
    levelno: Annotated[int, Field(ge=0, le=100)]
    msg: str


def write_record(record: logging.LogRecord) -> bytes:
    """Give a record as JSON; one too long for a frame loses its fields and its end."""
    text = str(record.msg)
    told = {"name": record.name, "levelno": record.levelno, "msg": text}
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    data = _as_json(fields | told)
    if len(data) > MAX_FRAME_BYTES:
        data = _as_json(told | {"msg": text[:MAX_TEXT], "shortened": True})
    return data


def _as_json(fields: dict[str, object]) -> bytes:
    text = json.dumps(fields, default=str, skipkeys=True, ensure_ascii=False)
    return text.encode(errors="replace")  # Halves of characters are no UTF-8.


def read_record(data: bytes) -> logging.LogRecord:
    """Give the record that a job logged; what cannot be read becomes a record that says so."""
    try:
        sent = _Record.model_validate_json(data)
    except ValidationError:
        sent = _Record(name=__name__, levelno=logging.WARNING, msg="job.log_unreadable")
    name = _known_logger(sent.name)
    record = logging.LogRecord(name, sent.levelno, "", 0, sent.msg, None, None)
    for key, value in sent.__pydantic_extra__.items():
        if not (key in _STANDARD or key.startswith("_") or hasattr(record, key)):
            setattr(record, key, value)
    return record


def _known_logger(name: str) -> str:
    """Give the closest logger that this process has: a new one would stay for ever."""
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
        message = _read_any(data, {id_: messages[id_] for id_ in _FROM_JOB})
    except (LookupError, ValueError) as error:
        raise duplex_unix.DuplexClosed from error
    if isinstance(message, proto.InferenceRequest):
        message.data = b""  # The host infers nothing; requests are answered with that.
    return message

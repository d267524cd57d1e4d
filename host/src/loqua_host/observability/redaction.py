"""Redaction of log records and exceptions of foreign code: only their constant text is shown.

What learners say reaches LiveKit, speech plugins and tutors, which put it into messages, fields and
exceptions. Which of them do so changes with each release, so this does not search for it. It shows
what is in the source code: a message's constant parts, numbers, and an exception's type with its
stack. Values that were formatted into a message become `…`.
"""

import ast
import linecache
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

import structlog

from loqua_host.errors import LoquaError

__all__ = ["OWN", "Redaction", "describe", "format_exception", "report_uncaught"]

log = structlog.get_logger()

OWN: Final = "loqua_host"
"""The logger of the host and of `lesson.log`, whose records are not redacted."""

HIDDEN: Final = "…"

MOST_EXCEPTIONS: Final = 20
"""Exceptions of one traceback: causes of causes, and members of groups."""

STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})
"""The standard attributes of a log record (logging.Logger.makeRecord)."""

NAMING: Final = frozenset(
    {
        *("agent_id", "session_id", "user_id", "job_id", "worker_id", "request_id", "speech_id"),
        *("agent_name", "label", "llm", "model", "provider", "stt", "tts"),
    }
)
"""Fields whose text is a name that somebody configured or a library made up."""


class Redaction(logging.Filter):
    """Reduce records of others than the host to the message in their source code.

    For a handler: it finds the code on the stack of the caller.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; none is held back."""
        record.exc_text = None  # another handler may have written the traceback there
        if not _is_own(record):
            record.msg = _message(record)
            record.args = None
            _drop_fields(record)
        return True


def format_exception(error: BaseException) -> str:
    """Return a traceback: all places, all types, and of messages what the source code says."""
    return "\n".join(_lines(error, set()))


def report_uncaught() -> None:
    """Log uncaught errors, which Python would otherwise write to stderr with their values."""
    sys.excepthook = lambda _kind, error, _trace: _report("process", error)
    sys.unraisablehook = lambda seen: _report("collection", seen.exc_value)
    threading.excepthook = lambda seen: _report("thread", seen.exc_value)


def _report(where: str, error: BaseException | None) -> None:
    if not isinstance(error, SystemExit):
        log.error("error.uncaught", where=where, exc_info=error)


def describe(error: BaseException) -> str:
    """Return an exception's type, and of its message what may be shown."""
    name, words = type(error).__qualname__, _words(error)
    return f"{name}: {words}" if words else name


def _is_own(record: logging.LogRecord) -> bool:
    """Return whether the host words a record: by its logger, by structlog, or it is from a job.

    A job has done this to what it sends, and the code is not on the stack here.
    """
    by_name = f"{record.name}.".startswith(f"{OWN}.")
    return by_name or "_logger" in vars(record) or not record.pathname


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen and len(seen) < MOST_EXCEPTIONS:
        yield from _lines(before, seen)
        yield "which led to"
    yield "Traceback (most recent call last):"
    for entry in traceback.format_tb(error.__traceback__):
        yield from entry.splitlines()
    yield describe(error)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in inner[: MOST_EXCEPTIONS - len(seen)]:
        yield from (f"  | {line}" for line in _lines(one, seen))


def _words(error: BaseException) -> str:
    if isinstance(error, LoquaError) and type(error).__module__.startswith(f"{OWN}."):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    at = _last(error.__traceback__)
    statement = _statement(at.tb_frame.f_code, at.tb_lasti) if at else None
    made = statement.exc if isinstance(statement, ast.Raise) else None
    return _text(_first(made))


def _last(at: TracebackType | None) -> TracebackType | None:
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at


def _message(record: logging.LogRecord) -> str:
    frame = _frame_of(record)
    statement = _statement(frame.f_code, frame.f_lasti) if frame else None
    said = _text(_first(statement.value)) if isinstance(statement, ast.Expr) else ""
    if not said:
        return f"{HIDDEN} ({record.filename}:{record.lineno})"
    return _formatted(said, record.args) if record.args else said


def _formatted(template: str, args: Any) -> str:
    shown = (
        {name: _shown(value) for name, value in args.items()}
        if isinstance(args, Mapping)
        else tuple(map(_shown, args))
    )
    try:
        return template % shown
    except (TypeError, ValueError, KeyError):
        return template


def _shown(value: object) -> object:
    """Return what may be shown of a value."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, BaseException):
        return type(value).__qualname__
    return HIDDEN


def _drop_fields(record: logging.LogRecord) -> None:
    fields = vars(record)
    for name in fields.keys() - STANDARD:
        value = fields[name]
        shown = value if name in NAMING and isinstance(value, str) else _shown(value)
        if shown is HIDDEN or "pii" in name.split("."):  # LiveKit's mark (telemetry/pii.py)
            del fields[name]
        else:
            fields[name] = shown


def _frame_of(record: logging.LogRecord) -> FrameType | None:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # as logging itself does
    while frame is not None:
        if frame.f_code.co_filename == record.pathname and frame.f_lineno == record.lineno:
            return frame
        frame = frame.f_back
    return None


@lru_cache(maxsize=1024)
def _statement(code: CodeType, instruction: int) -> ast.stmt | None:
    """Return what logs or raises there, if there is its source."""
    try:
        return next(iter(ast.parse(_source(code, instruction)).body), None)
    except (SyntaxError, ValueError, SystemError):  # the last before Python 3.12 (gh-106905)
        return None


def _source(code: CodeType, instruction: int) -> str:
    """Return the source of what an instruction is part of, as a traceback underlines it."""
    where = list(code.co_positions())[instruction // 2]
    first, last, begin, end = (-1 if one is None else one for one in where)
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(first, last + 1)]
    if not lines or min(begin, end) < 0:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    return b"".join(lines).decode(errors="replace")


def _first(call: ast.expr | None) -> ast.expr | None:
    """Return a call's message, which in `log(level, message)` is the second argument."""
    if not isinstance(call, ast.Call):
        return None
    after_level = isinstance(call.func, ast.Attribute) and call.func.attr == "log"
    return next(iter(call.args[int(after_level) :]), None)


def _text(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or HIDDEN for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_text(left) or HIDDEN) + (_text(right) or HIDDEN)
    return ""

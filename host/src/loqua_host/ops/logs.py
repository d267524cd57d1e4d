"""Logs of the host and its jobs: one line per event, for people or for machines.

For people, as the Loqua guide asks:
`[TIMESTAMP] [LEVEL] [AGENT_ID] [SESSION_ID] [USER_ID] message`.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from loqua_host.observability.redaction import Redaction, format_exception

from .log_throttle import LimitedHandler

__all__ = ["configure_logs", "hide_tokens", "limit_job_logs"]

TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b[0-9a-f]{32}:[0-9a-f]{64,}")
"""The pattern of JWTs and of the API's encrypted one, which are masked in every line."""

BOUND = ("agent_id", "session_id", "user_id")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line ends, marks that turn the direction of text, and halves of characters."""

PLAIN = re.compile(r"[\w.:/@+%-]+")
"""A value that needs no quotes."""


_VERBOSE: Final = (
    *("livekit", "livekit.agents", "httpx", "httpcore", "aiohttp.access", "asyncio", "watchfiles"),
)
"""Libraries of which only warnings and errors are logged."""


def configure_logs(
    form: Literal["text", "json"],
    level: str,
    stream: TextIO = sys.stderr,
    processors: Sequence[Processor] = (),
    monotonic: Callable[[], float] = time.monotonic,
    agent_id: str = "",
) -> None:
    """Send all records, the jobs' too, to `stream` as text or JSON lines.

    Records that name no agent get `agent_id`, the host's own, if it is given.
    Of what others log, libraries and exceptions, only what their source code says is shown: the
    rest may be a learner's (see redaction.py).

    Processors are shown the host's own lines, of whatever level, and not those of jobs.
    A repeated warning or error is logged five times, then summarised once a minute.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_render_exception),
    ]
    if agent_id:
        shared.append(lambda _logger, _method, event: {"agent_id": agent_id, **event})
    structlog.configure(
        processors=[
            *shared,
            *processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    render: Processor = structlog.processors.JSONRenderer() if form == "json" else _render_line
    handler = LimitedHandler(stream, monotonic)
    handler.addFilter(Redaction())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                lambda *said: hide_tokens(str(render(*said))),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for library in _VERBOSE:
        logging.getLogger(library).setLevel(logging.WARNING)


def limit_job_logs(limit: logging.Filter) -> None:
    """Add a filter to every handler of this process."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)


def hide_tokens(text: str) -> str:
    """Return a text without what looks like a token."""
    return TOKEN.sub("[token]", text)


def _render_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    bound = [str(event.pop(key, None) or "-") for key in BOUND]
    head = [str(event.pop("timestamp", "-")), str(event.pop("level", "info")).upper(), *bound]
    said = str(event.pop("event", ""))
    trace = event.pop("exception", None)
    present = ((key, value) for key, value in event.items() if value is not None)
    fields = "".join(f" {_one_line(key)}={_printable(value)}" for key, value in present)
    line = " ".join(f"[{_one_line(part)}]" for part in head) + f" {_one_line(said)}{fields}"
    return line if trace is None else f"{line}\n{_indented(str(trace))}"


def _render_exception(exc_info: ExcInfo) -> str:
    return format_exception(exc_info[1])


def _indented(trace: str) -> str:
    """Keep what an exception quotes from looking like a line of the log."""
    return "\n".join(f"    {_one_line(line)}" for line in trace.splitlines())


def _printable(value: object) -> str:
    text = _one_line(str(value))
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Keep a participant's text from starting a log line of its own."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)

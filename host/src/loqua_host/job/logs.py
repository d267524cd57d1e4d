"""Logs of a job, sent to the host as plain records without what learners say."""

import logging
from types import TracebackType

import structlog
from structlog.typing import EventDict, WrappedLogger

from loqua_host.link.ipc import STANDARD, log_as_json
from loqua_host.observability.redaction import Redaction, format_exception, report_uncaught

__all__ = ["send_logs_to_host"]

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

RESERVED = STANDARD - {"exc_info", "stack_info"}


def send_logs_to_host() -> None:
    """Make structlog write plain records, which LiveKit's log queue sends to the host."""
    log_as_json()
    _redact()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            # In a field, because LiveKit's log queue would append a traceback to the event's name.
            structlog.processors.ExceptionRenderer(_render),
            _keep_clear_of_records,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Libraries that log every request would fill the host's log; tutors have lesson.log.
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("httpx", "httpx2", "livekit"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("livekit.agents", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("loqua_host").setLevel(logging.INFO)


class _Plain(logging.Formatter):
    """Format messages and tracebacks, without the messages of exceptions."""

    def formatException(self, ei: _Raised) -> str:  # noqa: N802  # logging's name
        return _render(ei)


def _redact() -> None:
    """Remove what was said from records, and from what Python itself writes to stderr."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(Redaction())
        handler.setFormatter(_Plain())
    logging.captureWarnings(capture=True)
    report_uncaught()


def _render(exc_info: _Raised) -> str:
    return format_exception(exc_info[1]) if exc_info[1] is not None else ""


def _keep_clear_of_records(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Rename fields such as `name`, for which logging would raise KeyError in a tutor's hook."""
    return {f"{key}_" if key in RESERVED else key: value for key, value in event.items()}

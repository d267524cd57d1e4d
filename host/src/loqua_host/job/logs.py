"""What a job logs: on its way to the host as plain records."""

import logging

import structlog
from structlog.typing import EventDict, WrappedLogger

from loqua_host.link.ipc import STANDARD, log_as_json

__all__ = ["send_logs_to_host"]

RESERVED = STANDARD - {"exc_info", "stack_info"}


def send_logs_to_host() -> None:
    """Make structlog write plain records, which LiveKit's log queue carries to the host."""
    log_as_json()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            # As a field: LiveKit's log queue would append a traceback to the event's name.
            structlog.processors.format_exc_info,
            _keep_clear_of_records,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Libraries that log their every request would fill the host's log; tutors have lesson.log.
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("httpx", "httpx2", "livekit"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("livekit.agents", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("loqua_host").setLevel(logging.INFO)


def _keep_clear_of_records(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Rename fields such as `name`, which logging would raise KeyError for, in a tutor's hook."""
    return {f"{key}_" if key in RESERVED else key: value for key, value in event.items()}

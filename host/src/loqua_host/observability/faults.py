"""Logging of unexpected errors."""

from traceback import walk_tb
from typing import Final

import structlog
from prometheus_client import Counter

__all__ = ["INTERNAL_ERRORS", "log_fault"]

log = structlog.get_logger()

INTERNAL_ERRORS: Final = Counter(
    "loqua_internal_errors", "Errors that nobody foresaw", registry=None
)
"""The process-wide counter. Like the log it is global, because such errors may occur anywhere."""

MOST_FRAMES = 10


def log_fault(task: str, error: Exception, **fields: object) -> None:
    """Log the type of an unexpected error and its stack, innermost last.

    The message is not logged, because it may quote a secret or a learner.

    Args:
        task: The task that failed, a label with few values.
        error: The error.
        fields: Further fields.
    """
    cause = _first_leaf(error)
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(cause.__traceback__)]
    at = [f"{file}:{line}" for file, line in frames[-MOST_FRAMES:]]
    INTERNAL_ERRORS.inc()
    log.error("error.caught", task=task, **fields, why=type(cause).__name__, at=at)


def _first_leaf(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error

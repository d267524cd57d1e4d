"""Throttling of repeated warnings and errors: the first few are logged, the rest are counted."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Final, Generic, TextIO, TypeVar

__all__ = ["LimitedHandler", "LogThrottle"]

T = TypeVar("T")

SUMMARY_SECONDS: Final = 60.0
"""Seconds between summaries of a repeated warning."""

REPEATS_LOGGED: Final = 5
"""Times that a warning is logged before it is summarised; one API call makes four attempts."""

MAX_TRACKED: Final = 1000
"""Maximum of distinct warnings and errors that are tracked."""

VARYING: Final = frozenset({"timestamp", "attempt", "failures"})
"""Fields that do not distinguish warnings; neither do measurements, which are floats."""

LOCATION_FIELDS: Final = frozenset({"room", "job_id"})
"""Fields that do not distinguish warnings without a lesson, such as refusals for capacity."""

NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "_logger", "_name"})


@dataclass(slots=True)
class _Window(Generic[T]):
    begun: float
    last: T
    logged: int = 1
    repeated: int = 0


class LogThrottle(Generic[T]):
    """Decide which of repeated messages to log.

    Args:
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[Hashable, _Window[T]] = OrderedDict()

    def take(self, key: Hashable, said: T) -> Iterator[tuple[T, int]]:
        """Yield the message and its count, unless it is to be summarised later."""
        yield from self.due()
        window = self._windows.get(key)
        if window is None:
            self._windows[key] = _Window(self._monotonic(), said)
            yield said, 0
        elif window.logged < REPEATS_LOGGED:
            window.logged += 1
            yield said, 0
        else:
            window.last, window.repeated = said, window.repeated + 1

    def due(self) -> Iterator[tuple[T, int]]:
        """Yield the last of each repeated message and its count, once a minute."""
        now = self._monotonic()
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now - window.begun < SUMMARY_SECONDS and len(self._windows) <= MAX_TRACKED:
                return
            del self._windows[key]
            if window.repeated:
                self._windows[key] = _Window(now, window.last, REPEATS_LOGGED)
                yield window.last, window.repeated


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Write records to a stream, and repeated warnings and errors with their count."""

    def __init__(self, stream: TextIO, monotonic: Callable[[], float]) -> None:
        super().__init__(stream)
        self._repeats: LogThrottle[logging.LogRecord] = LogThrottle(monotonic)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it is to be summarised, and all summaries that are due."""
        if record.levelno < logging.WARNING:
            emitted = [*self._repeats.due(), (record, 0)]
        else:
            emitted = list(self._repeats.take(_key(record), record))
        for kept, repeated in emitted:
            super().emit(_counted(kept, repeated) if repeated else kept)


def _key(record: logging.LogRecord) -> int:
    """Return the key of a record: everything except measurements and counts."""
    fields = _fields(record)
    is_specific = "session_id" in fields or "user_id" in fields or record.levelno > logging.WARNING
    ignored = VARYING if is_specific else VARYING | LOCATION_FIELDS
    distinguishing = (
        (name, str(value))
        for name, value in fields.items()
        if name not in ignored and not isinstance(value, float)
    )
    return hash((record.levelno, *sorted(distinguishing)))


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    if isinstance(record.msg, dict):  # an event of structlog's
        return record.msg
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    raised = repr(record.exc_info[1]) if record.exc_info else ""
    said = NUMBER.sub("#", f"{record.getMessage()} {raised}")
    return {"logger": record.name, "event": said, **extra}


def _counted(record: logging.LogRecord, repeated: int) -> logging.LogRecord:
    counted = copy(record)
    if isinstance(record.msg, dict):
        counted.msg = {**record.msg, "repeated": repeated}
    else:
        counted.repeated = repeated
    return counted

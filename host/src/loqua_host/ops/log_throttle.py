"""Warnings and errors that repeat: the first few are told, the rest are counted."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Final, Generic, TextIO, TypeVar

__all__ = ["LimitedHandler", "LogThrottle"]

T = TypeVar("T")

EVERY: Final = 60.0
"""Seconds after which is told how often something was repeated."""

TOLD: Final = 5
"""How often something is told at first; one call to the API makes four attempts."""

KEPT: Final = 1000
"""Different warnings and errors that are told apart."""

VARYING: Final = frozenset({"timestamp", "attempt", "failures"})
"""Fields that do not make another warning; nor does any measurement, which is a float."""

PLACES: Final = frozenset({"room", "job_id"})
"""Nor do these where no lesson is meant: a full house refuses whoever comes, wherever."""

NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "_logger", "_name"})


@dataclass(slots=True)
class _Window(Generic[T]):
    begun: float
    last: T
    told: int = 1
    repeated: int = 0


class LogThrottle(Generic[T]):
    """Says what is to be told of things that are said again and again.

    Args:
        monotonic: A clock that never steps, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[Hashable, _Window[T]] = OrderedDict()

    def take(self, key: Hashable, said: T) -> Iterator[tuple[T, int]]:
        """Yield what is to be told now that something is said: it, unless it is one too many."""
        yield from self.due()
        window = self._windows.get(key)
        if window is None:
            self._windows[key] = _Window(self._monotonic(), said)
            yield said, 0
        elif window.told < TOLD:
            window.told += 1
            yield said, 0
        else:
            window.last, window.repeated = said, window.repeated + 1

    def due(self) -> Iterator[tuple[T, int]]:
        """Yield the last of each that was repeated, and how often, once a minute."""
        now = self._monotonic()
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now - window.begun < EVERY and len(self._windows) <= KEPT:
                return
            del self._windows[key]
            if window.repeated:
                self._windows[key] = _Window(now, window.last, TOLD)
                yield window.last, window.repeated


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream; a warning or an error that repeats with its count."""

    def __init__(self, stream: TextIO, monotonic: Callable[[], float]) -> None:
        super().__init__(stream)
        self._repeats: LogThrottle[logging.LogRecord] = LogThrottle(monotonic)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, if it is to be told now, and what is due besides."""
        if record.levelno < logging.WARNING:
            telling = [*self._repeats.due(), (record, 0)]
        else:
            telling = list(self._repeats.take(_key(record), record))
        for told, repeated in telling:
            super().emit(_counted(told, repeated) if repeated else told)


def _key(record: logging.LogRecord) -> int:
    """Return what is the same for what happens again: all but measurements and counts."""
    fields = _fields(record)
    meant = "session_id" in fields or "user_id" in fields or record.levelno > logging.WARNING
    ignored = VARYING if meant else VARYING | PLACES
    kept = (
        (name, str(value))
        for name, value in fields.items()
        if name not in ignored and not isinstance(value, float)
    )
    return hash((record.levelno, *sorted(kept)))


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

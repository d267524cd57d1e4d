"""What the core reports of itself: one log line each, and one value for whoever counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

__all__ = ["Event", "Events", "Observer"]

log = structlog.get_logger()

Level = Literal["debug", "info", "warning"]
Field = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, such as `api.called`, with its fields. Holds no secret."""

    name: str
    fields: Mapping[str, Field]


class Observer(Protocol):
    """Whoever counts and times events; called in line, so it must be quick and not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


class Events:
    """Logs each event under its name and shows it to the observer, if there is one."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer

    def emit(self, name: str, *, level: Level = "info", **fields: Field) -> None:
        """Report one event with its fields."""
        getattr(log, level)(name, **fields)
        if self._observer is not None:
            self._observer(Event(name, fields))

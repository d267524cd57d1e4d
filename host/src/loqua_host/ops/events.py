"""What the host logs of itself, shown as events to whoever counts: one place, nothing said twice.

Records of jobs do not come this way: a tutor words them, and could count what never was.
"""

from collections.abc import Sequence

from structlog.typing import EventDict, WrappedLogger

from loqua_host.core.events import Event, Observer

__all__ = ["EventTap"]


class EventTap:
    """A structlog processor that shows each of the host's own log events to the observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def __call__(self, _logger: WrappedLogger, method: str, said: EventDict) -> EventDict:
        """Show one event, with its level among the fields, and pass it on as it is."""
        event = Event(str(said.get("event", "")), {**said, "level": method})
        for observe in self._observers:
            observe(event)
        return said

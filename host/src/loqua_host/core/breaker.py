"""A circuit breaker that lets exactly one probe out when half-open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from loqua_host.errors import SuspendedError, UnreachableError

from .clock import Clock
from .events import Events, Level
from .settings import BreakerSettings

__all__ = ["Breaker", "State"]


class State(StrEnum):
    """What a breaker does with a call: lets it out, fails it at once, or lets one out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Gives an endpoint up after failures in a row, and tries it again with one probe.

    Cancelled calls and refusals (4xx) count neither way. A call that began before the last
    change of state has no say in the new one.
    """

    def __init__(
        self,
        endpoint: str,
        settings: BreakerSettings,
        clock: Clock,
        events: Events,
    ) -> None:
        self.state = State.CLOSED
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._events = events
        self._failures = 0
        self._reopens_at = 0.0
        self._probing = False
        self._epoch = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Guard one attempt.

        Raises:
            SuspendedError: The breaker is open, or another attempt is the probe.
        """
        epoch = self._enter()
        outcome: Callable[[], None] = self._unknown
        try:
            yield
            outcome = self._succeeded
        except UnreachableError as error:
            if not _says_nothing(error):
                outcome = self._failed
            raise
        finally:
            if epoch == self._epoch:
                outcome()

    def _enter(self) -> int:
        if self.state is State.OPEN and self._clock.monotonic() >= self._reopens_at:
            self._become(State.HALF_OPEN)
        if self.state is State.OPEN or self._probing:
            wait = max(0.0, self._reopens_at - self._clock.monotonic())
            raise SuspendedError(
                self._endpoint, "the breaker is open", retry_after=wait, sent=False
            )
        self._probing = self.state is State.HALF_OPEN
        return self._epoch

    def _succeeded(self) -> None:
        self._failures = 0
        if self.state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def _failed(self) -> None:
        self._failures += 1
        if self.state is State.HALF_OPEN or self._failures >= self._settings.failures:
            self._reopens_at = self._clock.monotonic() + self._settings.open_seconds
            self._become(State.OPEN)

    def _unknown(self) -> None:
        self._probing = False

    def _become(self, state: State) -> None:
        self.state = state
        self._failures = 0
        self._probing = False
        self._epoch += 1
        level: Level = "warning" if state is State.OPEN else "info"
        self._events.emit(_EVENTS[state], level=level, endpoint=self._endpoint)


_EVENTS = {
    State.CLOSED: "breaker.closed",
    State.OPEN: "breaker.opened",
    State.HALF_OPEN: "breaker.half_opened",
}


def _says_nothing(error: UnreachableError) -> bool:
    answered_4xx = error.status is not None and 400 <= error.status < 500  # noqa: PLR2004  (4xx)
    return answered_4xx or isinstance(error, SuspendedError)

"""A stopwatch for the time taught."""

from collections.abc import Callable

__all__ = ["Stopwatch"]


class Stopwatch:
    """Count seconds while it runs, from an initial value; it starts paused."""

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
        self._clock = clock
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """The seconds counted so far."""
        return self._counted + (0.0 if self._since is None else self._clock() - self._since)

    def run(self) -> None:
        """Run."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Pause."""
        self._counted, self._since = self.seconds, None

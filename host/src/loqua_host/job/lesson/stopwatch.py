"""The time taught: a stopwatch that stands still while the tutor has no learner or floor."""

from collections.abc import Callable

__all__ = ["Stopwatch"]


class Stopwatch:
    """Counts seconds while it runs, from `seconds` on; made standing still."""

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
        self._clock = clock
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """The seconds counted so far."""
        return self._counted + (0.0 if self._since is None else self._clock() - self._since)

    def run(self) -> None:
        """Go on counting."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Stand still."""
        self._counted, self._since = self.seconds, None

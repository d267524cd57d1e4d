"""The mode of each lesson (full, cache, basic, mock), with subscribers."""

from collections.abc import Callable

import structlog

from loqua_host.contract.records import Mode

from .caller import Caller
from .metrics import ApiMetrics

__all__ = ["Listener", "Modes", "fallback"]

log = structlog.get_logger()

Listener = Callable[[Caller, Mode], None]
"""Called synchronously at each change of mode; must be quick and not raise."""


def fallback(*, cached: bool, token: bool) -> Mode:
    """Return the mode without the API: cache with a context, basic with a token, else mock."""
    if cached:
        return Mode.CACHE
    return Mode.BASIC if token else Mode.MOCK


class Modes:
    """The mode of every lesson that holds a lease.

    It is the worse of two: the API's current state, and the context that the lesson has. A lesson
    that started without its context is not full until the context is loaded.
    """

    def __init__(self, without_api: Callable[[Caller], Mode], metrics: ApiMetrics) -> None:
        self._without_api = without_api
        self._metrics = metrics
        self._modes: dict[Caller, Mode] = {}
        self._best: dict[Caller, Mode] = {}
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call a listener at each change."""
        self._listeners.append(listener)

    def of(self, caller: Caller) -> Mode:
        """Return a caller's mode now."""
        return self._modes.get(caller) or self._without_api(caller)

    def begin(self, caller: Caller, before: Mode = Mode.FULL) -> None:
        """Track a caller who has acquired a token; one already tracked keeps its mode.

        Args:
            caller: The caller.
            before: The mode in which the lesson started, if that was without the API.
        """
        if caller not in self._modes:
            self._modes[caller] = before
            self._best[caller] = Mode.BASIC if before is Mode.MOCK else before
            self.reached(caller)

    def end(self, caller: Caller) -> None:
        """Stop tracking a caller."""
        self._modes.pop(caller, None)
        self._best.pop(caller, None)

    def given(self, caller: Caller, best: Mode) -> None:
        """Note the caller's context: full for a loaded one, cache for a cached one."""
        if caller in self._modes:
            reachable = self._modes[caller] is self._best[caller]
            self._best[caller] = best
            if reachable:
                self._become(caller, best)

    def reached(self, caller: Caller) -> None:
        """Note that the API responded to this caller."""
        self._become(caller, self._best.get(caller, Mode.FULL))

    def lost(self, caller: Caller) -> Mode:
        """Note that the API did not respond to this caller; return the remaining mode."""
        mode = _worse(self._without_api(caller), self._best.get(caller, Mode.FULL))
        self._become(caller, mode)
        return mode

    def _become(self, caller: Caller, mode: Mode) -> None:
        before = self._modes.get(caller)
        if before is None or before is mode:
            return
        self._modes[caller] = mode
        self._metrics.mode_changes.labels(mode).inc()
        log_mode = log.info if mode is Mode.FULL else log.warning
        log_mode(
            "mode.changed",
            agent_id=caller.agent_id,
            user_id=caller.user_id,
            room=caller.room,
            before=before,
            mode=mode,
        )
        for listener in self._listeners:
            listener(caller, mode)


def _worse(one: Mode, other: Mode) -> Mode:
    return max(one, other, key=list(Mode).index)

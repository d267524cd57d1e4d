"""An in-memory cache of learners' contexts, whose parts have different lifetimes."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from loqua_host.contract.learner import LearnerContext

from .clock import Clock
from .settings import CacheLives

__all__ = ["ContextCache"]

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Entry:
    context: LearnerContext
    fetched_at: float
    outdated: bool = False


class ContextCache(Generic[K]):
    """Cache contexts: whole while they are fresh, and in parts while the API is down."""

    def __init__(self, lives: CacheLives, clock: Clock) -> None:
        self._lives = lives
        self._clock = clock
        self._entries: OrderedDict[K, _Entry] = OrderedDict()

    def store(self, key: K, context: LearnerContext) -> None:
        """Store a fetched context, and evict old ones."""
        self._entries.pop(key, None)
        self._entries[key] = _Entry(context, self._clock.monotonic())
        while len(self._entries) > self._lives.learners:
            self._entries.popitem(last=False)

    def fresh(self, key: K) -> LearnerContext | None:
        """Return the context if it is fresh."""
        entry = self._entries.get(key)
        if entry is None or entry.outdated or self._age(entry) >= self._lives.context:
            return None
        return entry.context

    def stale(self, key: K) -> LearnerContext | None:
        """Return the parts of the context that may be used while the API is down.

        History and progress expire sooner than preferences. Return None if nothing is left.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        age = self._age(entry)
        if age < self._lives.history:
            return entry.context
        if age < self._lives.preferences:
            return LearnerContext(preferences=entry.context.preferences)
        del self._entries[key]
        return None

    def mark_stale(self, key: K) -> None:
        """Mark the context as stale: it is fetched again before its next use."""
        if key in self._entries:
            self._entries[key].outdated = True

    def drop(self, key: K) -> None:
        """Drop the context, because the API refuses it."""
        self._entries.pop(key, None)

    def _age(self, entry: _Entry) -> float:
        return self._clock.monotonic() - entry.fetched_at

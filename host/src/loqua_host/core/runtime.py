"""Shared parts of the core: the clock, randomness and the metrics."""

from dataclasses import dataclass, field
from random import Random, SystemRandom

from loqua_host.observability.metrics import Instruments

from .clock import Clock, SystemClock
from .metrics import ApiMetrics

__all__ = ["Runtime"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of the world that a test replaces.

    Attributes:
        clock: Wall and monotonic time; the machine's own by default.
        random: The source of jitter and idempotency keys; the system's own by default.
        metrics: Where calls are counted; by default in a registry that nothing reads.
    """

    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=SystemRandom)
    metrics: ApiMetrics = field(default_factory=lambda: ApiMetrics(Instruments()))

    def idempotency_key(self) -> str:
        """Return a new key of 32 hexadecimal digits."""
        return f"{self.random.getrandbits(128):032x}"

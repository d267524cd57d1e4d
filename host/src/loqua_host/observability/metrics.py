"""Prometheus instruments of one registry, whose series start at 0.

Each package has its own in its module `metrics`, and increments them where the event happens.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["Instruments"]


class Instruments:
    """Create counters and histograms whose series start at 0.

    Prometheus sees no increase in the first value of a series. So series with known labels exist
    from the start, and those of a tutor from when it is added.

    Attributes:
        registry: The Prometheus registry.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._by_tutor: list[tuple[Counter | Histogram, list[tuple[str, ...]]]] = []

    def counter(self, name: str, description: str, *labels: str, **known: Sequence[str]) -> Counter:
        """Create a counter.

        Args:
            name: The name without `loqua_` and `_total`.
            description: What it counts.
            labels: Names of labels with unknown values, or `tutor`.
            known: Further labels, each with its known values.
        """
        names = (*labels, *known)
        counter = Counter(f"loqua_{name}", description, names, registry=self.registry)
        self._start(counter, labels, known)
        return counter

    def histogram(
        self,
        name: str,
        description: str,
        buckets: Sequence[float],
        *labels: str,
        **known: Sequence[str],
    ) -> Histogram:
        """Create a histogram of seconds; see `counter`."""
        names = (*labels, *known)
        histogram = Histogram(
            f"loqua_{name}", description, names, buckets=buckets, registry=self.registry
        )
        self._start(histogram, labels, known)
        return histogram

    def add_tutors(self, tutors: Iterable[str]) -> None:
        """Start all series of these tutors at 0; existing ones continue."""
        for tutor, (metric, known) in product(tutors, self._by_tutor):
            for values in known:
                metric.labels(tutor, *values)

    def _start(
        self, metric: Counter | Histogram, labels: Sequence[str], known: Mapping[str, Sequence[str]]
    ) -> None:
        values = list(product(*known.values()))
        if labels == ("tutor",):
            self._by_tutor.append((metric, values))
        elif known and not labels:
            for each in values:
                metric.labels(*each)

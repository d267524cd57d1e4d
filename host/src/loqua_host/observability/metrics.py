"""Prometheus instruments of one registry, whose series begin at 0.

Each package keeps its own in its module `metrics`, and counts where things happen.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["Instruments"]


class Instruments:
    """Creates counters and histograms, and starts their series at 0.

    Prometheus sees no rise in the first value of a series, so each is there before anything
    happens: those of labels known beforehand from the start, those of a tutor once it is added.

    Attributes:
        registry: What is exposed.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._by_tutor: list[tuple[Counter | Histogram, list[tuple[str, ...]]]] = []

    def counter(self, name: str, description: str, *labels: str, **known: Sequence[str]) -> Counter:
        """Create a counter.

        Args:
            name: Without `loqua_` and `_total`.
            description: What it counts.
            labels: Names of labels whose values are not known beforehand, or `tutor`.
            known: Further labels, each with the values that it is known to have.
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
        """Start all series of these tutors at 0; those there are already go on."""
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

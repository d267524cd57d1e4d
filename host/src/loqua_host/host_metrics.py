"""All metrics of a host, in one registry."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector

from loqua_host.core.metrics import ApiMetrics
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.observability.faults import INTERNAL_ERRORS
from loqua_host.observability.metrics import Instruments
from loqua_host.ops.gauges import StatusCollector
from loqua_host.ops.health import Health
from loqua_host.ops.status import HostStatus
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.workers.metrics import WorkerMetrics

__all__ = ["HostMetrics"]


class HostMetrics:
    """The instruments of each package.

    What each metric means is in config/prometheus/README.md. No label holds a learner or a lesson.
    """

    def __init__(self) -> None:
        self.instruments = instruments = Instruments()
        self.api = ApiMetrics(instruments)
        self.lessons = LessonMetrics(instruments)
        self.delivery = DeliveryMetrics(instruments)
        self.workers = WorkerMetrics(instruments)
        self.registry.register(INTERNAL_ERRORS)
        ProcessCollector(registry=self.registry)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of all exposed metrics."""
        return self.instruments.registry

    def watch(self, look: Callable[[], HostStatus], judge: Callable[[HostStatus], Health]) -> None:
        """Expose what is seen at the moment of each scrape, too."""
        self.registry.register(StatusCollector(look, judge))

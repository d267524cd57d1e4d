"""Metrics of delivery."""

from loqua_host.observability.metrics import Instruments

__all__ = ["DeliveryMetrics"]


class DeliveryMetrics:
    """Counters of delivery."""

    def __init__(self, instruments: Instruments) -> None:
        self.attempts = instruments.counter(
            "deliveries", "Attempts to deliver outbox entries", "what", "outcome"
        )
        for what in ("record", "progress"):
            for outcome in ("delivered", "postponed", "dead"):
                self.attempts.labels(what, outcome)
        self.attempts.labels("record", "refused")  # refused progress is a dead letter at once
        self.faults = instruments.counter("delivery_faults", "Deliveries that a bug stopped")

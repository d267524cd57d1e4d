"""What delivery counts: attempts to send entries of the outbox."""

from loqua_host.observability.metrics import Instruments

__all__ = ["DeliveryMetrics"]


class DeliveryMetrics:
    """Counters of delivery."""

    def __init__(self, instruments: Instruments) -> None:
        self.attempts = instruments.counter(
            "deliveries", "Attempts at what is owed", "what", "outcome"
        )
        for what in ("record", "progress"):
            for outcome in ("delivered", "postponed", "dead"):
                self.attempts.labels(what, outcome)
        self.attempts.labels("record", "refused")  # refused progress is dead
        self.faults = instruments.counter("delivery_faults", "Deliveries that a bug stopped")

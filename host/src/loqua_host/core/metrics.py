"""Metrics of the core: attempts at the API, breakers, tokens, contexts, modes."""

from itertools import product
from typing import Final

from loqua_host.contract.records import Mode
from loqua_host.observability.metrics import Instruments

__all__ = ["API_BUCKETS", "ENDPOINTS", "ApiMetrics"]

API_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10)

ENDPOINTS: Final = ("user-token", "context", "progress", "sessions", "health")

ANSWERS: Final = {
    "ok": ("200",),
    "RefusedError": ("400", "401", "403", "404"),
    "UnreachableError": ("none", "429", "500", "502", "503", "504"),
    "cancelled": ("none",),
}
"""Outcomes of an attempt at the API, with the statuses they usually have."""

SOURCES: Final = ("api", "cache", "stale", "nowhere")


class ApiMetrics:
    """Counters and histograms of the core."""

    def __init__(self, instruments: Instruments) -> None:
        counter = instruments.counter
        self.calls = counter("api_calls", "Attempts at the API", "endpoint", "outcome", "status")
        for endpoint, (outcome, statuses) in product(ENDPOINTS, ANSWERS.items()):
            for status in statuses:
                self.calls.labels(endpoint, outcome, status)
        self.call_seconds = instruments.histogram(
            "api_call_seconds", "Time of one attempt at the API", API_BUCKETS, endpoint=ENDPOINTS
        )
        self.retries = counter("api_retries", "Attempts after the first", endpoint=ENDPOINTS)
        self.breakers_opened = counter("breakers_opened", "Breakers opened", endpoint=ENDPOINTS)
        self.context_loads = counter("context_loads", "Contexts, by source", source=SOURCES)
        self.mode_changes = counter("mode_changes", "Lessons that changed mode", mode=tuple(Mode))
        exchanges = counter("token_exchanges", "User tokens asked for", "kind", "outcome")
        self.tokens_exchanged = exchanges.labels("first", "ok")
        self.tokens_refreshed = exchanges.labels("refresh", "ok")
        self.refreshes_failed = exchanges.labels("refresh", "failed")

    def observe_attempt(
        self, endpoint: str, outcome: str, status: int | None, *, attempt: int, seconds: float
    ) -> None:
        """Count and time one attempt at the API.

        Args:
            endpoint: Its short name.
            outcome: `ok`, `cancelled`, or the name of the error.
            status: The answer's, if there was one.
            attempt: Which of its call's it was, from 1.
            seconds: What it took. Of one that was cancelled that is no time of the API's.
        """
        self.calls.labels(endpoint, outcome, "none" if status is None else str(status)).inc()
        if outcome != "cancelled":
            self.call_seconds.labels(endpoint).observe(seconds)
        if attempt > 1:
            self.retries.labels(endpoint).inc()

"""The status of the API's endpoints, for health checks."""

from dataclasses import dataclass

from .breaker import BreakerState

__all__ = ["EndpointStatus"]


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """The last attempt at an endpoint that was not cancelled.

    Attributes:
        at: When it ended, in monotonic seconds.
        seconds: How long it took.
        failure: What went wrong, without the learner's ids; None if nothing did.
        breaker: The state of the endpoint's breaker.
    """

    at: float
    seconds: float
    failure: str | None = None
    breaker: BreakerState = BreakerState.CLOSED

"""A circuit breaker for one endpoint that distinguishes an outage from one learner's bad data."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import structlog

from loqua_host.errors import SuspendedError, UnreachableError

from .clock import Clock
from .metrics import ApiMetrics
from .settings import BreakerSettings

__all__ = ["Breaker", "BreakerState"]

log = structlog.get_logger()

COUNTED_EACH = 2
"""Maximum failures of one learner that count, so that no learner opens a breaker alone."""

LONGEST_SUSPENSION = 300.0
"""Maximum seconds of a learner's suspension."""

FORGET_AFTER = 2 * LONGEST_SUSPENSION
"""Seconds after which a learner's last failure no longer counts."""

MAX_FAILING = 1000
"""Maximum of tracked failing learners."""

NEUTRAL_STATUSES = frozenset({408, 425, 429})
"""Statuses of a working server that asks to retry later."""


class BreakerState(StrEnum):
    """The state of a breaker: calls pass, fail at once, or one probe passes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class _Failing:
    """A learner whose last call failed.

    Attributes:
        served: The number of successful calls when the failures started; later ones are others'.
        at: When the last failure was, in monotonic seconds.
        failures: The number of consecutive failures.
        resumes_at: When the suspension ends, in monotonic seconds.
        tried_out: Whether a call is testing whether the suspension may end.
    """

    served: int
    at: float
    failures: int = 0
    resumes_at: float = 0.0
    tried_out: bool = False


class Breaker:
    """Suspend calls to an endpoint that is down, or those of one learner for whom it fails.

    Consecutive failures open the breaker for all learners. Each learner counts at most twice, and
    only if nobody else was served meanwhile. Consecutive failures of one learner suspend that
    learner, longer each time if others are served, because then the learner's own data is at
    fault. While the breaker is open, one probe at a time passes: at once for a learner who has not
    failed, so that bad data never blocks others, and for those who have after `open_seconds`.

    Cancelled calls, refusals and `NEUTRAL_STATUSES` do not count. A call that started before the
    breaker opened or closed is ignored.
    """

    def __init__(
        self,
        endpoint: str,
        settings: BreakerSettings,
        clock: Clock,
        metrics: ApiMetrics,
    ) -> None:
        self.state = BreakerState.CLOSED
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._failing: OrderedDict[str, _Failing] = OrderedDict()
        self._served = 0
        # Keyed by whether the learner's calls have failed.
        self._probes_at = {True: 0.0, False: 0.0}
        self._probing = False
        self._epoch = 0

    @contextmanager
    def attempt(self, learner: str) -> Iterator[None]:
        """Guard one attempt for a learner.

        Raises:
            SuspendedError: If the breaker is open, another attempt is the probe, or the learner is
                suspended.
        """
        epoch = self._enter(learner)
        record: Callable[[str], None] = self._on_unknown
        try:
            yield
            record = self._on_success
        except UnreachableError as error:
            if not _is_neutral(error):
                record = self._on_failure
            raise
        finally:
            if own := self._failing.get(learner):
                own.tried_out = False
            if epoch == self._epoch:
                record(learner)

    def _enter(self, learner: str) -> int:
        now, own = self._clock.monotonic(), self._record_of(learner)
        if own is not None and own.tried_out:
            raise self._suspended("another call is the probe for this learner", 0.0)
        if own is not None and now < own.resumes_at:
            raise self._suspended("it keeps failing for this learner", own.resumes_at - now)
        if self.state is not BreakerState.CLOSED:
            self._enter_as_probe(now, self._probes_at[own is not None])
        if own is not None and own.failures >= self._settings.failures:
            own.tried_out = True
        return self._epoch

    def _enter_as_probe(self, now: float, due: float) -> None:
        if self._probing or now < due:
            raise self._suspended("the breaker is open", max(0.0, due - now))
        self._probing = True
        if self.state is BreakerState.OPEN:
            self._become(BreakerState.HALF_OPEN)

    def _suspended(self, why: str, wait: float) -> SuspendedError:
        return SuspendedError(self._endpoint, why, retry_after=wait, sent=False)

    def _record_of(self, learner: str) -> _Failing | None:
        own = self._failing.get(learner)
        if own is not None and self._clock.monotonic() - own.at > FORGET_AFTER:
            del self._failing[learner]
            return None
        return own

    def _on_success(self, learner: str) -> None:
        self._failing.pop(learner, None)
        self._served += 1
        if self.state is not BreakerState.CLOSED:
            self._turn(BreakerState.CLOSED)

    def _on_failure(self, learner: str) -> None:
        now, known = self._clock.monotonic(), self._record_of(learner) is not None
        own = self._failing.setdefault(learner, _Failing(self._served, now))
        own.at, own.failures = now, own.failures + 1
        self._suspend(learner, own)
        if len(self._failing) > MAX_FAILING:
            self._failing.popitem(last=False)
        if self.state is not BreakerState.CLOSED:
            self._probes_at[known] = now + self._settings.open_seconds
            self._probing = False
            self._become(BreakerState.OPEN)
        elif self._is_outage():
            self._probes_at = {True: now + self._settings.open_seconds, False: now}
            self._turn(BreakerState.OPEN)

    def _on_unknown(self, _learner: str) -> None:
        self._probing = False

    def _suspend(self, learner: str, own: _Failing) -> None:
        """Suspend a learner after consecutive failures, longer each time if only theirs fail."""
        beyond = own.failures - self._settings.failures
        if beyond < 0:
            return
        pause = self._settings.open_seconds
        if own.served < self._served:
            pause = max(pause, min(pause * 2 ** min(beyond, 16), LONGEST_SUSPENSION))
        own.resumes_at = own.at + pause
        log.warning(
            "breaker.learner_suspended",
            endpoint=self._endpoint,
            user_id=learner,
            failures=own.failures,
            seconds=pause,
        )

    def _is_outage(self) -> bool:
        """Return whether there are enough consecutive failures."""
        counted = (
            min(own.failures, COUNTED_EACH)
            for own in self._failing.values()
            if own.served == self._served
        )
        return sum(counted) >= self._settings.failures

    def _turn(self, state: BreakerState) -> None:
        """Change between open and closed; calls in progress no longer count."""
        self._epoch += 1
        self._probing = False
        self._become(state)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        if state is BreakerState.OPEN:
            self._metrics.breakers_opened.labels(self._endpoint).inc()
        log_state = log.warning if state is BreakerState.OPEN else log.info
        log_state(_EVENTS[state], endpoint=self._endpoint)


_EVENTS = {
    BreakerState.CLOSED: "breaker.closed",
    BreakerState.OPEN: "breaker.opened",
    BreakerState.HALF_OPEN: "breaker.half_opened",
}


def _is_neutral(error: UnreachableError) -> bool:
    return error.status in NEUTRAL_STATUSES or isinstance(error, SuspendedError)

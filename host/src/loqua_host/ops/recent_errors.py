"""Recent warnings and errors of the host's own log, for the status page."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from structlog.typing import EventDict, WrappedLogger

__all__ = ["RecentError", "RecentErrors"]

MAX_ERRORS = 20
"""Maximum of distinct warnings and errors that are kept."""

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class RecentError:
    """A warning or an error, without its learner.

    Attributes:
        at: When it last happened, in monotonic seconds.
        level: `warning`, `error` or `critical`.
        event: Its name in the log.
        why: Its subject and reason.
        times: How often it happened.
        hint: What to do about it.
        tutor: The tutor that it is about, if it names one.
    """

    at: float
    level: str
    event: str
    why: str
    times: int = 1
    hint: str = ""
    tutor: str = ""


class RecentErrors:
    """A structlog processor that keeps recent warnings and errors.

    Log lines of jobs do not pass through it, because they may contain text of tutors.

    Args:
        monotonic: A monotonic clock, in seconds.

    Attributes:
        totals: How many there have been by tutor, empty for none, also those no longer kept.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.totals: Counter[str] = Counter()
        self._monotonic = monotonic
        self._errors: OrderedDict[tuple[str, str, str], RecentError] = OrderedDict()

    def newest_first(self) -> Sequence[RecentError]:
        """Return the recent errors. A repeated one does not displace others."""
        return tuple(reversed(self._errors.values()))

    def __call__(self, _logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """Keep a line if it is a warning or an error."""
        if method in ("warning", "error", "critical"):
            error = _recent(self._monotonic(), method, line)
            self.totals[error.tutor] += 1
            self._remember(error)
        return line

    def _remember(self, error: RecentError) -> None:
        kind = (error.level, error.event, error.why)
        before = self._errors.pop(kind, None)
        self._errors[kind] = replace(error, times=1 if before is None else before.times + 1)
        if len(self._errors) > MAX_ERRORS:
            self._errors.popitem(last=False)


def _recent(at: float, level: str, line: Mapping[str, object]) -> RecentError:
    hint = _without_learner(line, "hint")[:LONGEST_REASON]
    tutor = _text(line, "tutor")
    return RecentError(at, level, str(line["event"]), _why(line), hint=hint, tutor=tutor)


def _why(line: Mapping[str, object]) -> str:
    # A refusal quotes the API, which may name a learner.
    reasons = (_without_learner(line, name) for name in ("cause", "why"))
    where = _text(line, "endpoint") or _text(line, "tutor")
    return ": ".join(filter(None, (where, next(filter(None, reasons), ""))))[:LONGEST_REASON]


def _text(line: Mapping[str, object], name: str) -> str:
    value = line.get(name)
    return "" if value is None else str(value)


def _without_learner(line: Mapping[str, object], name: str) -> str:
    text = _text(line, name)
    for learner in ("user_id", "session_id", "room"):
        if hidden := _text(line, learner):
            text = text.replace(hidden, f"[{learner}]")
    return text

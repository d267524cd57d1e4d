"""The last warnings and errors of the host's own log, for the status page."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from structlog.typing import EventDict, WrappedLogger

__all__ = ["RecentError", "RecentErrors"]

KEPT = 20
"""Different warnings and errors that are remembered."""

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class RecentError:
    """A warning or an error, without the learner it happened to.

    Attributes:
        at: When it happened last, in monotonic seconds.
        level: `warning`, `error` or `critical`.
        event: Its name in the log.
        why: What it is about, and the reason.
        times: How often it happened.
    """

    at: float
    level: str
    event: str
    why: str
    times: int = 1


class RecentErrors:
    """A structlog processor that remembers warnings and errors, and passes all lines on.

    Lines of jobs do not come this way: a tutor words them.

    Args:
        monotonic: A clock that never steps, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[str, str, str], RecentError] = OrderedDict()

    def newest_first(self) -> Sequence[RecentError]:
        """Return what is remembered; one that happens again and again drives out no other."""
        return tuple(reversed(self._kept.values()))

    def __call__(self, _logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """Remember a line if it is a warning or an error."""
        if method in ("warning", "error", "critical"):
            self._remember(RecentError(self._monotonic(), method, str(line["event"]), _why(line)))
        return line

    def _remember(self, error: RecentError) -> None:
        kind = (error.level, error.event, error.why)
        before = self._kept.pop(kind, None)
        self._kept[kind] = replace(error, times=1 if before is None else before.times + 1)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _why(line: Mapping[str, object]) -> str:
    # A refusal quotes the API, which may name a learner whom the line does not.
    reasons = (_without_learner(line, name) for name in ("cause", "why", "hint"))
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

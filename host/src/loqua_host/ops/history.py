"""The last hour of the host, in bounded memory, for sparklines."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict

from loqua_host.core.clock import Clock
from loqua_host.lessons.metrics import StageTotal

__all__ = ["History", "LastHour", "Sample", "StageLatency", "summarise"]

INTERVAL: Final = 15.0
"""Seconds between two samples, the scrape interval in config/prometheus/README.md."""

KEPT: Final = 241
"""Samples that are kept: those that bound the intervals of one hour."""

REPLY: Final = "reply"
"""The stage from the learner's last word to the tutor's first, which the others are part of."""

UNTIMED: Final = StageTotal()


@dataclass(frozen=True, slots=True)
class Sample:
    """The host at one moment.

    Attributes:
        lessons: How many run.
        waiting: How many learners wait for a tutor.
        errors: Warnings and errors since the host's start.
        voice: The latency of replies since the host's start, by stage.
    """

    lessons: int = 0
    waiting: int = 0
    errors: int = 0
    voice: Mapping[str, StageTotal] = field(default_factory=dict)


class StageLatency(BaseModel):
    """The mean latency of one stage of a reply.

    Attributes:
        seconds: The mean. Means of stages add up, which quantiles do not.
        replies: How many replies it is the mean of.
    """

    model_config = ConfigDict(frozen=True)
    stage: str
    seconds: float
    replies: int


class LastHour(BaseModel):
    """Series of the last hour, oldest value first, and the latency of its replies by stage.

    Attributes:
        interval: The seconds between two values.
        lessons: Lessons at the end of each interval.
        waiting: Waiting learners at the end of each interval.
        errors: Warnings and errors within each interval.
        reply: Mean seconds of the replies within each interval; None if there were none.
        stages: The latency of all replies, in the order of the stages.
    """

    model_config = ConfigDict(frozen=True)
    interval: float = INTERVAL
    lessons: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()
    reply: tuple[float | None, ...] = ()
    stages: tuple[StageLatency, ...] = ()


class History:
    """A ring buffer of samples.

    Args:
        read: Returns the sample of now.
        clock: The clock that paces the samples.
    """

    def __init__(self, read: Callable[[], Sample], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._samples: deque[Sample] = deque([read()], maxlen=KEPT)

    def last_hour(self) -> LastHour:
        """Return the series up to the newest sample."""
        return summarise(tuple(self._samples))

    async def run(self) -> None:
        """Take a sample every `INTERVAL` seconds, until cancelled."""
        due = self._clock.monotonic()
        while True:
            # After a standstill of the machine, samples do not come in a burst.
            due = max(due + INTERVAL, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())
            self._samples.append(self._read())


def summarise(samples: Sequence[Sample]) -> LastHour:
    """Return the series of successive samples, of which the first begins the first interval."""
    pairs = tuple(pairwise(samples))
    return LastHour(
        lessons=tuple(after.lessons for _, after in pairs),
        waiting=tuple(after.waiting for _, after in pairs),
        errors=tuple(after.errors - before.errors for before, after in pairs),
        reply=tuple(_mean(before, after, REPLY) for before, after in pairs),
        stages=_stages(samples[0], samples[-1]) if samples else (),
    )


def _stages(first: Sample, last: Sample) -> tuple[StageLatency, ...]:
    means = ((stage, _mean(first, last, stage)) for stage in last.voice)
    return tuple(
        StageLatency(stage=stage, seconds=mean, replies=_between(first, last, stage).replies)
        for stage, mean in means
        if mean is not None
    )


def _mean(before: Sample, after: Sample, stage: str) -> float | None:
    total = _between(before, after, stage)
    return total.seconds / total.replies if total.replies else None


def _between(before: Sample, after: Sample, stage: str) -> StageTotal:
    begun, ended = before.voice.get(stage, UNTIMED), after.voice.get(stage, UNTIMED)
    return StageTotal(ended.seconds - begun.seconds, ended.replies - begun.replies)

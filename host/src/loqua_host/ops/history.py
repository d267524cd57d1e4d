"""The last hour of the host, in bounded memory, for sparklines."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict

from loqua_host.core.clock import Clock
from loqua_host.lessons.metrics import StageTotal

__all__ = ["History", "Hours", "LastHour", "Sample", "StageLatency", "summarise"]

INTERVAL: Final = 15.0
"""Seconds between two samples, the scrape interval in config/prometheus/README.md."""

MAX_SAMPLES: Final = 241
"""Maximum samples: those that bound the intervals of one hour."""

REPLY: Final = "reply"
"""The stage from the learner's last word to the tutor's first, which the others are part of."""

UNTIMED: Final = StageTotal()


@dataclass(frozen=True, slots=True)
class Sample:
    """A tutor at one moment, or the whole host.

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


UNSEEN: Final = Sample()
"""A tutor without samples."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The last hour of the whole host, and of each tutor by name."""

    host: LastHour = field(default_factory=LastHour)
    tutors: Mapping[str, LastHour] = field(default_factory=dict)


class History:
    """A ring buffer of samples: about 0.3 MB for each tutor.

    Args:
        read: Returns the samples of now by tutor. That of an empty name has what is of no tutor.
        clock: The clock that paces the samples.
    """

    def __init__(self, read: Callable[[], Mapping[str, Sample]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._samples: deque[Mapping[str, Sample]] = deque([read()], maxlen=MAX_SAMPLES)
        self._hours: Hours | None = None

    def hours(self) -> Hours:
        """Return the series up to the newest samples."""
        if self._hours is None:
            self._hours = summarise(tuple(self._samples))
        return self._hours

    async def run(self) -> None:
        """Take a sample every `INTERVAL` seconds, until cancelled."""
        due = self._clock.monotonic()
        while True:
            # After the machine was suspended, missed samples are not made up for in a burst.
            due = max(due + INTERVAL, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())
            self._samples.append(self._read())
            self._hours = None


def summarise(moments: Sequence[Mapping[str, Sample]]) -> Hours:
    """Return the series of successive moments, of which the first begins the first interval."""
    tutors = {name for moment in moments for name in moment if name}
    return Hours(
        host=_last_hour([_total(moment.values()) for moment in moments]),
        tutors={
            name: _last_hour([moment.get(name, UNSEEN) for moment in moments]) for name in tutors
        },
    )


def _total(samples: Iterable[Sample]) -> Sample:
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    replies: Counter[str] = Counter()
    for sample in samples:
        counts.update(lessons=sample.lessons, waiting=sample.waiting, errors=sample.errors)
        for stage, total in sample.voice.items():
            seconds[stage] += total.seconds
            replies[stage] += total.replies
    voice = {stage: StageTotal(seconds[stage], replies[stage]) for stage in seconds}
    return Sample(**counts, voice=voice)


def _last_hour(samples: Sequence[Sample]) -> LastHour:
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
    return round(total.seconds / total.replies, 3) if total.replies else None


def _between(before: Sample, after: Sample, stage: str) -> StageTotal:
    begun, ended = before.voice.get(stage, UNTIMED), after.voice.get(stage, UNTIMED)
    return StageTotal(ended.seconds - begun.seconds, ended.replies - begun.replies)

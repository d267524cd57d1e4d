"""The last hour, for sparklines."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.lessons.metrics import StageTotal
from loqua_host.ops.history import INTERVAL, MAX_SAMPLES, History, Sample, StageLatency, summarise


class HistoryClock:
    """A clock whose sleeps return at once, some of them late; it stops after some of them."""

    def __init__(self, sleeps: int, *, late: float = 0.0) -> None:
        self.seconds = 100.0
        self.slept: list[float] = []
        self._sleeps = sleeps
        self._late = late

    def now(self) -> float:
        """Return unix seconds."""
        return self.seconds

    def monotonic(self) -> float:
        """Return the same."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        if len(self.slept) == self._sleeps:
            raise asyncio.CancelledError
        self.slept.append(seconds)
        self.seconds += seconds + self._late
        self._late = 0.0


async def record(readings: Any, clock: HistoryClock) -> History:
    """Return the history of these readings of a tutor."""
    history = History(lambda: {"grammar": next(readings)}, clock)
    with pytest.raises(asyncio.CancelledError):
        await history.run()
    return history


def voice(seconds: float, replies: int) -> dict[str, StageTotal]:
    """Return the totals of replies, a third of which was thinking."""
    return {
        "thinking": StageTotal(seconds / 3, replies),
        "reply": StageTotal(seconds, replies),
    }


async def test_a_sample_is_taken_at_a_steady_pace() -> None:
    """However long the last one took to be taken."""
    clock = HistoryClock(3, late=4.0)
    await record((Sample(lessons=n) for n in range(9)), clock)
    assert clock.slept == [INTERVAL, INTERVAL - 4.0, INTERVAL]


async def test_after_a_standstill_samples_do_not_come_in_a_burst() -> None:
    """A suspended machine has nothing to tell of the time in between."""
    clock = HistoryClock(3, late=1000.0)
    await record((Sample(lessons=n) for n in range(9)), clock)
    assert clock.slept == [INTERVAL, 0.0, INTERVAL]


async def test_memory_is_bounded_to_one_hour() -> None:
    """The oldest makes room."""
    history = await record(
        (Sample(lessons=n) for n in range(2 * MAX_SAMPLES)), HistoryClock(MAX_SAMPLES + 50)
    )
    hour = history.hours().host
    assert len(hour.lessons) == MAX_SAMPLES - 1 == 3600 / INTERVAL
    assert hour.lessons[-1] == MAX_SAMPLES + 50


def test_counters_are_shown_by_interval_and_gauges_as_they_were() -> None:
    """A host counts from its start."""
    samples = [Sample(1, 0, 5), Sample(2, 1, 5), Sample(3, 0, 9)]
    hour = summarise([{"": one} for one in samples]).host
    assert (hour.lessons, hour.waiting, hour.errors) == ((2, 3), (1, 0), (0, 4))


def test_each_tutor_has_its_hour_and_the_host_has_all_of_it() -> None:
    """Also one that came later, and what is of no tutor."""
    before = {"": Sample(errors=2), "grammar": Sample(3, 1, 1, voice(3.0, 2))}
    after = {
        "": Sample(errors=3),
        "grammar": Sample(2, 0, 1, voice(5.0, 3)),
        "conversation": Sample(4, 0, 2, voice(6.0, 3)),
    }
    hours = summarise([before, after])
    assert set(hours.tutors) == {"grammar", "conversation"}
    grammar, conversation = hours.tutors["grammar"], hours.tutors["conversation"]
    assert (grammar.lessons, grammar.errors, grammar.reply) == ((2,), (0,), (2.0,))
    assert (conversation.lessons, conversation.errors, conversation.reply) == ((4,), (2,), (2.0,))
    assert (hours.host.lessons, hours.host.waiting, hours.host.errors) == ((6,), (0,), (3,))
    assert hours.host.stages[-1] == StageLatency(stage="reply", seconds=2.0, replies=4)


async def test_the_series_of_now_are_those_up_to_the_newest_sample() -> None:
    """They are kept until the next one."""
    readings = iter([Sample(1), Sample(2), Sample(3)])
    history = History(lambda: {"grammar": next(readings)}, HistoryClock(1))
    assert history.hours().tutors["grammar"].lessons == ()
    assert history.hours() is history.hours()
    with pytest.raises(asyncio.CancelledError):
        await history.run()
    assert history.hours().tutors["grammar"].lessons == (2,)


def test_latency_is_that_of_the_replies_of_the_interval_and_of_the_hour() -> None:
    """An interval without a reply has none."""
    samples = [Sample(voice=voice(30.0, 10)), *[Sample(voice=voice(36.0, 14))] * 2]
    hour = summarise([{"grammar": one} for one in samples]).tutors["grammar"]
    assert hour.reply == (1.5, None)
    assert hour.stages == (
        StageLatency(stage="thinking", seconds=0.5, replies=4),
        StageLatency(stage="reply", seconds=1.5, replies=4),
    )


@pytest.mark.parametrize("count", [0, 1], ids=["none", "one"])
def test_before_the_first_interval_there_is_nothing(count: int) -> None:
    """And no division by zero."""
    assert summarise([{"": Sample()}] * count).host.lessons == ()


@given(st.lists(st.builds(Sample, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))))
def test_all_series_are_as_long(samples: list[Sample]) -> None:
    """One value an interval."""
    hour = summarise([{"": one} for one in samples]).host
    lengths = {len(series) for series in (hour.lessons, hour.waiting, hour.errors, hour.reply)}
    assert lengths == {max(0, len(samples) - 1)}

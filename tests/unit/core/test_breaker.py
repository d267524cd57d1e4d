"""The circuit breaker: when it opens, who gets out, what closes it."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loqua_host.core.breaker import Breaker, State
from loqua_host.core.events import Event, Events
from loqua_host.core.settings import BreakerSettings
from loqua_host.errors import RefusedError, SuspendedError, UnreachableError


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self) -> None:
        self.time = 1.0

    def monotonic(self) -> float:
        """Give where the hands are."""
        return self.time

    def now(self) -> float:
        """Give the same."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move the hands."""
        self.time += seconds


DOWN = UnreachableError("context", "503", status=503)


def attempt(breaker: Breaker, error: BaseException | None = None) -> None:
    """Make one attempt that ends so."""
    with breaker.attempt():
        if error is not None:
            raise error


def failing(breaker: Breaker, error: BaseException, times: int = 1) -> None:
    """Make attempts that fail so."""
    for _ in range(times):
        with pytest.raises(type(error)):
            attempt(breaker, error)


@pytest.fixture
def hands() -> Hands:
    """Give a clock."""
    return Hands()


@pytest.fixture
def events() -> list[Event]:
    """Give what is reported."""
    return []


@pytest.fixture
def breaker(hands: Hands, events: list[Event]) -> Breaker:
    """Give a closed breaker that opens for 10 s after three failures."""
    reported = Events(events.append)
    return Breaker("context", BreakerSettings(failures=3, open_seconds=10), hands, reported)


def test_failures_in_a_row_open_it_for_a_while(breaker: Breaker, hands: Hands) -> None:
    """After the third nobody gets out until ten seconds have passed."""
    failing(breaker, DOWN, 2)
    assert breaker.state is State.CLOSED
    failing(breaker, DOWN)
    assert breaker.state is State.OPEN
    hands.time += 4
    with pytest.raises(SuspendedError) as suspended:
        attempt(breaker)
    assert suspended.value.retry_after == 6
    assert suspended.value.sent is False
    assert suspended.value.endpoint == "context"


def test_a_success_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    """Only failures in a row count."""
    for _ in range(5):
        failing(breaker, DOWN, 2)
        attempt(breaker)
    assert breaker.state is State.CLOSED
    failing(breaker, DOWN, 3)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("later", [10, 10.5, 3600])
def test_a_probe_that_succeeds_closes_it(breaker: Breaker, hands: Hands, later: float) -> None:
    """From then on everybody gets out, and it takes three failures to open again."""
    failing(breaker, DOWN, 3)
    hands.time += later
    attempt(breaker)
    assert breaker.state is State.CLOSED
    failing(breaker, DOWN, 2)
    assert breaker.state is State.CLOSED
    failing(breaker, DOWN)
    assert breaker.state is State.OPEN


def test_a_probe_that_fails_opens_it_for_as_long_again(breaker: Breaker, hands: Hands) -> None:
    """One failure is enough when half-open."""
    failing(breaker, DOWN, 3)
    hands.time += 10
    failing(breaker, DOWN)
    assert breaker.state is State.OPEN
    hands.time += 9.9
    failing(breaker, SuspendedError("context", "open"))
    hands.time += 0.1
    attempt(breaker)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(
    "neutral",
    [
        asyncio.CancelledError(),
        RefusedError("context", "no", status=404),
        UnreachableError("context", "slow down", status=429),
        UnreachableError("context", "timed out", status=408),
        UnreachableError("context", "to the edge", status=499),
        UnreachableError("context", "from the edge", status=400),
        SuspendedError("context", "held"),
    ],
)
def test_cancellation_and_4xx_are_neutral(
    breaker: Breaker, hands: Hands, neutral: BaseException
) -> None:
    """They neither open nor close it, neither add to nor clear the count, nor use up the probe."""
    failing(breaker, neutral, 10)
    failing(breaker, DOWN, 2)
    failing(breaker, neutral)
    assert breaker.state is State.CLOSED
    failing(breaker, DOWN)
    hands.time += 10
    failing(breaker, neutral)
    assert breaker.state is State.HALF_OPEN
    attempt(breaker)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("status", [None, 200, 302, 399, 500, 503])
def test_no_answer_and_no_usable_answer_are_failures(breaker: Breaker, status: int | None) -> None:
    """Garbage with status 200 counts like an outage."""
    failing(breaker, UnreachableError("context", "garbage", status=status), 3)
    assert breaker.state is State.OPEN


async def test_of_fifty_at_half_open_one_gets_out(breaker: Breaker, hands: Hands) -> None:
    """Exactly one probe; the others fail at once, and all get out once it has succeeded."""
    failing(breaker, DOWN, 3)
    hands.time += 12
    answered = asyncio.Event()
    out = 0

    async def call() -> None:
        nonlocal out
        with breaker.attempt():
            out += 1
            await answered.wait()

    calls = [asyncio.create_task(call()) for _ in range(50)]
    await asyncio.sleep(0)
    assert out == 1
    turned_away = [call.exception() for call in calls if call.done()]
    assert [type(error) for error in turned_away] == [SuspendedError] * 49
    assert {vars(error)["retry_after"] for error in turned_away} == {0}
    answered.set()
    await asyncio.wait(calls)
    assert breaker.state is State.CLOSED


async def test_a_call_from_before_has_no_say_after(breaker: Breaker, hands: Hands) -> None:
    """A slow call that began when closed neither closes nor opens what opened meanwhile."""
    slow_good, slow_bad = breaker.attempt(), breaker.attempt()
    slow_good.__enter__()
    slow_bad.__enter__()
    failing(breaker, DOWN, 3)
    slow_good.__exit__(None, None, None)
    assert breaker.state is State.OPEN
    hands.time += 10
    probe = breaker.attempt()
    probe.__enter__()
    assert slow_bad.__exit__(type(DOWN), DOWN, None) is False
    assert breaker.state is State.HALF_OPEN
    with pytest.raises(SuspendedError):
        attempt(breaker)
    probe.__exit__(None, None, None)
    assert breaker.state is State.CLOSED


def test_each_change_is_reported(
    breaker: Breaker, hands: Hands, events: list[Event], logs: list[dict[str, object]]
) -> None:
    """Opened (a warning), half-opened, closed: once each, with the endpoint's name."""
    attempt(breaker)
    failing(breaker, DOWN, 3)
    hands.time += 10
    attempt(breaker)
    attempt(breaker)
    assert [line["log_level"] for line in logs] == ["warning", "info", "info"]
    assert [event.name for event in events] == [
        "breaker.opened",
        "breaker.half_opened",
        "breaker.closed",
    ]
    assert {event.fields["endpoint"] for event in events} == {"context"}


class BreakerRules(RuleBasedStateMachine):
    """Whatever happens in whatever order, a breaker keeps its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.hands = Hands()
        self.breaker = Breaker(
            "context", BreakerSettings(failures=3, open_seconds=10), self.hands, Events()
        )
        self.out: list[tuple[Callable[..., object], State]] = []
        self.opened_at = 0.0

    @rule(seconds=st.sampled_from([0.5, 5.0, 9.999, 10.0]))
    def time_passes(self, seconds: float) -> None:
        """Let seconds go by."""
        self.hands.time += seconds

    @rule()
    def a_call_begins(self) -> None:
        """Try to get out: never while open, never as a second probe."""
        due = self.hands.time >= self.opened_at + 10
        guard = self.breaker.attempt()
        probes = [state for _, state in self.out if state is State.HALF_OPEN]
        was = self.breaker.state
        try:
            guard.__enter__()
        except SuspendedError:
            assert (was is State.OPEN and not due) or probes
            return
        assert was is State.CLOSED or (due and not probes)
        self.out.append((guard.__exit__, self.breaker.state))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), end=st.sampled_from([None, DOWN, RefusedError("context", "404")]))
    def a_call_ends(self, data: st.DataObject, end: Exception | None) -> None:
        """End any call under way, well, badly or with a refusal."""
        exit_, state = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        was = self.breaker.state
        exit_(None if end is None else type(end), end, None)
        if self.breaker.state is State.OPEN and was is not State.OPEN:
            self.opened_at = self.hands.time
            assert end is DOWN
        if self.breaker.state is State.CLOSED and was is not State.CLOSED:
            assert end is None
            assert state is State.HALF_OPEN

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        """Count the probes of the present half-open state."""
        if self.breaker.state is not State.HALF_OPEN:
            self.out = [(exit_, State.CLOSED) for exit_, _ in self.out]
        assert sum(state is State.HALF_OPEN for _, state in self.out) <= 1


TestBreakerRules = BreakerRules.TestCase
TestBreakerRules.settings = settings(max_examples=60, stateful_step_count=30)

"""The circuit breaker: when it opens, which calls pass, and when it closes."""

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loqua_host.core.breaker import Breaker, BreakerState
from loqua_host.core.metrics import ApiMetrics
from loqua_host.core.settings import BreakerSettings
from loqua_host.errors import RefusedError, SuspendedError, UnreachableError
from loqua_host.observability.metrics import Instruments


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1.0

    def monotonic(self) -> float:
        """Return where the clock are."""
        return self.time

    def now(self) -> float:
        """Return the same."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.time += seconds


DOWN = UnreachableError("context", "503", status=503)


learners = count(1)


def attempt(
    breaker: Breaker, error: BaseException | None = None, learner: str | None = None
) -> None:
    """Make one attempt that ends so, for a learner or for somebody new."""
    with breaker.attempt(learner or f"learner-{next(learners)}"):
        if error is not None:
            raise error


def failing(
    breaker: Breaker, error: BaseException, times: int = 1, learner: str | None = None
) -> None:
    """Make attempts that fail so."""
    for _ in range(times):
        with pytest.raises(type(error)):
            attempt(breaker, error, learner)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock."""
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock, instruments: Instruments) -> Breaker:
    """Return a closed breaker that opens for 10 s after three failures."""
    settings = BreakerSettings(failures=3, open_seconds=10)
    return Breaker("context", settings, clock, ApiMetrics(instruments))


def test_failures_in_a_row_open_it_for_a_while(breaker: Breaker, clock: ManualClock) -> None:
    """After the third nobody who failed gets out until ten seconds have passed."""
    failing(breaker, DOWN, 2)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, DOWN, learner="leo")
    assert breaker.state is BreakerState.OPEN
    clock.time += 4
    with pytest.raises(SuspendedError) as suspended:
        attempt(breaker, learner="leo")
    assert suspended.value.retry_after == 6
    assert suspended.value.sent is False
    assert suspended.value.endpoint == "context"


def test_one_learner_alone_opens_no_breaker(breaker: Breaker, clock: ManualClock) -> None:
    """However long it fails for leo, the others get out; leo rests longer and longer."""
    pauses = []
    for _ in range(12):
        failing(breaker, DOWN, learner="leo")
        attempt(breaker, learner="mia")
        pauses.append(pause_of(breaker, "leo"))
        clock.time += pauses[-1]
        assert breaker.state is BreakerState.CLOSED
    assert pauses == [0, 0, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]


def pause_of(breaker: Breaker, learner: str) -> float:
    """Return the seconds for which a learner is suspended."""
    try:
        attempt(breaker, RefusedError("context", "no"), learner)
    except SuspendedError as suspended:
        return suspended.retry_after or 0.0
    except RefusedError:
        return 0.0
    raise AssertionError("it did not end")


def test_a_learner_who_is_alone_in_an_outage_waits_no_longer_each_time(
    breaker: Breaker, clock: ManualClock
) -> None:
    """Nobody else was served: it may well be the API, which may come back at any moment."""
    failing(breaker, DOWN, 3, learner="leo")
    for _ in range(20):
        with pytest.raises(SuspendedError) as suspended:
            attempt(breaker, learner="leo")
        assert suspended.value.retry_after == 10
        clock.time += 10
        failing(breaker, DOWN, learner="leo")
    clock.time += 10
    attempt(breaker, learner="leo")
    failing(breaker, DOWN, 2, learner="leo")
    attempt(breaker, learner="leo")


def test_what_another_call_of_the_learner_tries_out_is_waited_for_no_longer_than_it_takes(
    breaker: Breaker, clock: ManualClock
) -> None:
    """The other lesson of a learner is served as soon as the first one has been."""
    failing(breaker, DOWN, 3, learner="leo")
    clock.time += 10
    with breaker.attempt("leo"):
        with pytest.raises(SuspendedError) as suspended, breaker.attempt("leo"):
            pass
        assert suspended.value.retry_after == 0
    attempt(breaker, learner="leo")


def test_a_trial_that_was_cancelled_lets_the_next_call_try(
    breaker: Breaker, clock: ManualClock
) -> None:
    """It says nothing of the endpoint."""
    failing(breaker, DOWN, 3, learner="leo")
    clock.time += 10
    with pytest.raises(asyncio.CancelledError), breaker.attempt("leo"):
        raise asyncio.CancelledError
    attempt(breaker, learner="leo")


@pytest.mark.parametrize(("poisoned", "others_first"), [(2, False), (3, False), (10, True)])
def test_bad_data_of_several_learners_never_holds_up_another(
    breaker: Breaker, clock: ManualClock, poisoned: int, others_first: bool
) -> None:
    """Even where they alone call for a while and open the breaker: who has not failed gets out."""
    for second in range(200):
        clock.time += 1
        for learner in range(poisoned):
            with contextlib.suppress(UnreachableError):
                attempt(breaker, DOWN, f"poisoned-{learner}")
            if others_first and second == 0:
                attempt(breaker)
        if second % 7 == 0:
            attempt(breaker)


def test_a_learner_known_to_fail_is_not_the_probe_that_keeps_it_open(
    breaker: Breaker, clock: ManualClock
) -> None:
    """After an outage leo's bad data fails every probe of his; mia's closes the breaker."""
    failing(breaker, DOWN, 2, learner="leo")
    failing(breaker, DOWN, learner="ana")
    assert breaker.state is BreakerState.OPEN
    for _ in range(5):
        clock.time += 10
        failing(breaker, DOWN, learner="leo")
        assert breaker.state is BreakerState.OPEN
    attempt(breaker, learner="mia")
    assert breaker.state is BreakerState.CLOSED


def test_in_an_outage_one_newcomer_in_ten_seconds_tries_it(
    breaker: Breaker, clock: ManualClock
) -> None:
    """The others fail at once."""
    failing(breaker, DOWN, 3)
    out = 0
    for _ in range(100):
        clock.time += 0.5
        try:
            attempt(breaker, DOWN)
        except SuspendedError:
            continue
        except UnreachableError:
            out += 1
    assert out == 5


def test_failures_long_ago_do_not_count(breaker: Breaker, clock: ManualClock) -> None:
    """A learner who comes again after a while begins anew."""
    failing(breaker, DOWN, 2, learner="leo")
    clock.time += 700
    failing(breaker, DOWN, 2, learner="leo")
    attempt(breaker, learner="leo")


def test_no_more_learners_are_remembered_than_have_room(breaker: Breaker) -> None:
    """A day of outages costs no memory."""
    for number in range(3000):
        with contextlib.suppress(UnreachableError):
            attempt(breaker, DOWN, f"learner {number}")
        with contextlib.suppress(UnreachableError):
            attempt(breaker, None, f"other {number}")
    assert len(breaker._failing) <= 1000


def test_a_success_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    """Only failures in a row count."""
    for _ in range(5):
        failing(breaker, DOWN, 2)
        attempt(breaker)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, DOWN, 3)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("later", [10, 10.5, 3600])
def test_a_probe_that_succeeds_closes_it(
    breaker: Breaker, clock: ManualClock, later: float
) -> None:
    """From then on everybody gets out, and it takes three failures to open again."""
    failing(breaker, DOWN, 3)
    clock.time += later
    attempt(breaker)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, DOWN, 2)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, DOWN)
    assert breaker.state is BreakerState.OPEN


def test_a_probe_that_fails_opens_it_for_as_long_again(
    breaker: Breaker, clock: ManualClock
) -> None:
    """One failure is enough when half-open."""
    failing(breaker, DOWN, 3)
    clock.time += 10
    failing(breaker, DOWN)
    assert breaker.state is BreakerState.OPEN
    clock.time += 9.9
    failing(breaker, SuspendedError("context", "open"))
    clock.time += 0.1
    attempt(breaker)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    "neutral",
    [
        asyncio.CancelledError(),
        RefusedError("context", "no", status=404),
        UnreachableError("context", "slow down", status=429),
        UnreachableError("context", "timed out", status=408),
        UnreachableError("context", "too early", status=425),
        SuspendedError("context", "held"),
    ],
)
def test_cancellation_refusals_and_asking_for_patience_are_neutral(
    breaker: Breaker, clock: ManualClock, neutral: BaseException
) -> None:
    """They neither open nor close it, neither add to nor clear the count, nor use up the probe."""
    failing(breaker, neutral, 10)
    failing(breaker, DOWN, 2)
    failing(breaker, neutral)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, DOWN)
    clock.time += 10
    failing(breaker, neutral)
    assert breaker.state is BreakerState.HALF_OPEN
    attempt(breaker)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("status", [None, 200, 302, 399, 403, 404, 421, 500, 503])
def test_no_answer_and_no_usable_answer_are_failures(breaker: Breaker, status: int | None) -> None:
    """Garbage with status 200 counts like an outage, and so does a proxy's 404."""
    failing(breaker, UnreachableError("context", "garbage", status=status), 3)
    assert breaker.state is BreakerState.OPEN


async def test_of_fifty_at_half_open_one_gets_out(breaker: Breaker, clock: ManualClock) -> None:
    """Exactly one probe; the others fail at once, and all get out once it has succeeded."""
    failing(breaker, DOWN, 3)
    clock.time += 12
    answered = asyncio.Event()
    out = 0

    async def call() -> None:
        nonlocal out
        with breaker.attempt(f"learner {next(learners)}"):
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
    assert breaker.state is BreakerState.CLOSED


async def test_a_call_from_before_has_no_say_after(breaker: Breaker, clock: ManualClock) -> None:
    """A slow call that began when closed neither closes nor opens what opened meanwhile."""
    slow_good, slow_bad = breaker.attempt("leo"), breaker.attempt("ana")
    slow_good.__enter__()
    slow_bad.__enter__()
    failing(breaker, DOWN, 3)
    slow_good.__exit__(None, None, None)
    assert breaker.state is BreakerState.OPEN
    clock.time += 10
    probe = breaker.attempt("mia")
    probe.__enter__()
    assert slow_bad.__exit__(type(DOWN), DOWN, None) is False
    assert breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(SuspendedError):
        attempt(breaker)
    probe.__exit__(None, None, None)
    assert breaker.state is BreakerState.CLOSED


def test_each_change_is_reported(
    breaker: Breaker, clock: ManualClock, instruments: Instruments, logs: list[dict[str, object]]
) -> None:
    """Opened (a warning, and counted), half-opened, closed: once each, with the endpoint."""
    attempt(breaker)
    failing(breaker, DOWN, 3)
    clock.time += 10
    attempt(breaker)
    attempt(breaker)
    assert [line["log_level"] for line in logs] == ["warning", "info", "info"]
    assert [line["event"] for line in logs] == [
        "breaker.opened",
        "breaker.half_opened",
        "breaker.closed",
    ]
    assert {line["endpoint"] for line in logs} == {"context"}
    labels = {"endpoint": "context"}
    assert instruments.registry.get_sample_value("loqua_breakers_opened_total", labels) == 1


class BreakerRules(RuleBasedStateMachine):
    """A breaker's invariants, under any sequence of events."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        settings, metrics = BreakerSettings(failures=3, open_seconds=10), ApiMetrics(Instruments())
        self.breaker = Breaker("context", settings, self.clock, metrics)
        self.out: list[tuple[Callable[..., object], str, BreakerState]] = []
        self.newcomers: set[str] = set()
        self.failed: set[str] = set()
        self.newcomer_failed_at = -10.0

    @rule(seconds=st.sampled_from([0.5, 5.0, 9.999, 10.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.time += seconds

    @rule(learner=st.sampled_from(["leo", "ana", "bob", None]))
    def a_call_begins(self, learner: str | None) -> None:
        """Try to get out: a newcomer always does, but for one probe and a failed newcomer."""
        name = learner or f"new {next(learners)}"
        guard = self.breaker.attempt(name)
        new = name not in self.breaker._failing
        probes = [state for *_, state in self.out if state is BreakerState.HALF_OPEN]
        was = self.breaker.state
        try:
            guard.__enter__()
        except SuspendedError:
            held = probes or self.clock.time < self.newcomer_failed_at + 10
            assert learner or (was is not BreakerState.CLOSED and held)
            return
        assert was is BreakerState.CLOSED or not probes
        if new:
            self.newcomers.add(name)
        else:
            self.newcomers.discard(name)
        self.out.append((guard.__exit__, name, self.breaker.state))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), end=st.sampled_from([None, DOWN, RefusedError("context", "404")]))
    def a_call_ends(self, data: st.DataObject, end: Exception | None) -> None:
        """End any call under way, well, badly or with a refusal."""
        exit_, learner, state = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        was = self.breaker.state
        exit_(None if end is None else type(end), end, None)
        if end is DOWN:
            self.failed.add(learner)
            if learner in self.newcomers and state is BreakerState.HALF_OPEN:
                self.newcomer_failed_at = self.clock.time
        if self.breaker.state is BreakerState.OPEN and was is BreakerState.CLOSED:
            assert end is DOWN
            assert len(self.failed) > 1
        if self.breaker.state is BreakerState.CLOSED and was is not BreakerState.CLOSED:
            assert end is None
            assert state is BreakerState.HALF_OPEN

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        """Count the probes of the present half-open state."""
        if self.breaker.state is not BreakerState.HALF_OPEN:
            self.out = [(exit_, learner, BreakerState.CLOSED) for exit_, learner, _ in self.out]
        assert sum(state is BreakerState.HALF_OPEN for *_, state in self.out) <= 1


TestBreakerRules = BreakerRules.TestCase
TestBreakerRules.settings = settings(max_examples=30, stateful_step_count=30)

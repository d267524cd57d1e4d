"""The order of learners who wait for capacity."""

import pytest

from loqua_host.contract.handoff import Handover
from loqua_host.lessons.dispatch_state import CALL_SECONDS, DispatchState
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import LessonRow

ROW = LessonRow("lesson", "visit", "visit", "maria", "room", "tutor", "agent", 0.0)


class DispatchClock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock() -> DispatchClock:
    """Return a clock."""
    return DispatchClock()


@pytest.fixture
async def dispatch_state(clock: DispatchClock) -> DispatchState:
    """Return a dispatch state."""
    return DispatchState(clock)


async def test_who_is_called_for_stands_ahead_of_who_just_comes(
    dispatch_state: DispatchState, clock: DispatchClock
) -> None:
    """Until the call is taken, or taken to be lost."""
    dispatch_state.on_called("one", "tutor", "maria")
    assert dispatch_state.ahead_of("new", "tutor") == ["tutor"]
    dispatch_state.on_accepted(JobRef("job", "one", "tutor"))
    assert dispatch_state.ahead_of("new", "tutor") == []
    dispatch_state.on_called("two", "tutor", "ana")
    clock.now += CALL_SECONDS
    assert dispatch_state.ahead_of("new", "tutor") == []


async def test_who_waits_stands_ahead_of_who_just_comes_but_not_of_who_is_called_for(
    dispatch_state: DispatchState,
) -> None:
    """Or nobody who is called would ever find a place."""
    dispatch_state.waiting = frozenset({("one", "tutor"), ("two", "tutor"), ("three", "grammar")})
    assert sorted(dispatch_state.ahead_of("new", "tutor")) == ["grammar", "tutor", "tutor"]
    dispatch_state.on_called("one", "tutor", "maria")
    dispatch_state.on_called("two", "tutor", "ana")
    assert dispatch_state.ahead_of("one", "tutor") == ["tutor"]


async def test_whom_this_host_refuses_nobody_else_may_serve_unless_there_are_others(
    dispatch_state: DispatchState,
) -> None:
    """A job that is accepted after all, or a room that is gone, ends that."""
    dispatch_state.on_full("one", "tutor")
    assert dispatch_state.changed.is_set()
    assert dispatch_state.refused("one") == {"tutor"}
    dispatch_state.shared = True
    assert dispatch_state.refused("one") == frozenset()
    dispatch_state.shared = False
    dispatch_state.on_accepted(JobRef("job", "one", "tutor"))
    assert dispatch_state.refused("one") == frozenset()
    dispatch_state.on_full("two", "tutor")
    dispatch_state.forget_rooms(set())
    assert dispatch_state.refused("two") == frozenset()


async def test_a_job_without_a_lesson_is_about_to_end(dispatch_state: DispatchState) -> None:
    """However its lesson went, or if it had none."""
    taught, refused = JobRef("taught", "one", "tutor"), JobRef("refused", "one", "grammar")
    dispatch_state.on_taught(taught)
    assert not dispatch_state.is_over("taught")
    dispatch_state.on_over(taught)
    dispatch_state.on_closed(refused, "PA_1")
    assert dispatch_state.is_over("taught")
    assert dispatch_state.is_over("refused")
    dispatch_state.forget_rooms(set())
    assert not dispatch_state.is_over("taught")


async def test_who_has_had_a_slot_goes_on(dispatch_state: DispatchState) -> None:
    """After a crash, by a tutor's wish, or as it was decided; not who gave the place away."""
    dispatch_state.on_interrupted(ROW, "agent")
    assert dispatch_state.goes_on("room", "tutor")
    dispatch_state.on_interrupted(ROW, "agent", since=1.0)
    assert not dispatch_state.goes_on("room", "tutor")
    dispatch_state.on_called("room", "tutor", "maria")
    assert dispatch_state.goes_on("room", "tutor")
    assert not dispatch_state.goes_on("room", "grammar")
    with dispatch_state.asking("room", "grammar", "maria", Handover(tutor="tutor")):
        assert dispatch_state.goes_on("room", "grammar")


async def test_a_host_that_stands_by_takes_only_the_specialists_that_its_tutors_call(
    dispatch_state: DispatchState,
) -> None:
    """Of several hosts in the region that teaches, any takes one."""
    dispatch_state.shared = True
    assert not dispatch_state.is_elsewhere("room", "grammar")
    dispatch_state.standby = True
    assert dispatch_state.is_elsewhere("room", "grammar")
    with dispatch_state.asking("room", "grammar", "maria", Handover(tutor="tutor")):
        assert not dispatch_state.is_elsewhere("room", "grammar")

"""Capacity of absent learners for waiting ones: pure decisions."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.lessons.decisions import (
    DISPATCH_GRACE,
    RELOAD_SECONDS,
    AbsentLearner,
    Action,
    Ask,
    Capacity,
    DispatchTutor,
    Interrupted,
    NotifyWaiting,
    PresentLearner,
    RequestStepOut,
    RoomSnapshot,
    decide,
)
from loqua_host.records.ledger import LessonRow

NOW = 1_800_000_000.0
RECONNECT_TIMEOUT = 20.0
FULL = Capacity(0, {"tutor": 0, "grammar": 1})
RUNNING = frozenset({"tutor"})


def row(user_id: str, tutor: str = "tutor") -> LessonRow:
    """Return a lesson."""
    return LessonRow(f"l-{user_id}-{tutor}", "s", "s", user_id, user_id, tutor, "agent", NOW - 60)


def waiting(user_id: str = "ana", *, seen_at: float = NOW - 10, **changes: object) -> RoomSnapshot:
    """Return a room with a learner who has no tutor."""
    here = PresentLearner(user_id, user_id, f"PA_{user_id}", seen_at, seen_at)
    return replace(RoomSnapshot(user_id, (here,), wanted=RUNNING), **changes)  # type: ignore[arg-type]


def left(user_id: str = "maria", *, since: float = NOW - 5, tutor: str = "tutor") -> RoomSnapshot:
    """Return a room whose lesson runs though its learner has left."""
    return RoomSnapshot(
        user_id, taught=frozenset({tutor}), absent=(AbsentLearner(row(user_id, tutor), since),)
    )


def todo(
    *snapshots: RoomSnapshot, capacity: Capacity = FULL, now: float = NOW, others: float = 0.0
) -> Sequence[Action]:
    """Decide."""
    return decide(snapshots, capacity, now, RECONNECT_TIMEOUT, others)


def stepping_out(actions: Sequence[Action]) -> list[tuple[str, str]]:
    """List whose lesson is stepped out of, and for whom."""
    return [
        (one.lesson.row.user_id, one.call.learner.user_id)
        for one in actions
        if isinstance(one, RequestStepOut)
    ]


def test_the_slot_of_a_learner_who_left_goes_to_one_who_waits() -> None:
    """The waiting learner is notified that a tutor is coming."""
    actions = todo(left(), waiting())
    assert stepping_out(actions) == [("maria", "ana")]
    assert [one for one in actions if isinstance(one, NotifyWaiting)]


def test_nobody_steps_out_while_nobody_waits_or_there_are_slots() -> None:
    """The lesson waits for its learner as long as it may."""
    assert todo(left()) == []
    assert stepping_out(todo(left(), waiting(), capacity=Capacity(1, {"tutor": 1}))) == []


def test_a_learner_who_reloads_the_page_keeps_the_slot() -> None:
    """A reload takes a second or two."""
    assert stepping_out(todo(left(since=NOW), waiting(), now=NOW + RELOAD_SECONDS - 0.1)) == []
    assert stepping_out(todo(left(since=NOW), waiting(), now=NOW + RELOAD_SECONDS))


def test_the_longest_absent_steps_out_first_and_no_more_than_who_wait() -> None:
    """A learner who has just left may return."""
    rooms = [left("late", since=NOW - 3), left("early", since=NOW - 9), left("mid", since=NOW - 6)]
    one = stepping_out(todo(*rooms, waiting()))
    assert one == [("early", "ana")]
    two = stepping_out(todo(*rooms, waiting(), waiting("li", seen_at=NOW - 9)))
    assert two == [("early", "ana"), ("mid", "li")]


@pytest.mark.parametrize("ending", [("tutor",), ("grammar",)])
def test_who_can_have_a_slot_that_is_free_in_a_moment_takes_no_absent_learners(
    ending: tuple[str, ...],
) -> None:
    """A job whose lesson is over, stepped out of or ended, has still to end."""
    capacity = Capacity(0, {"tutor": 0 if "tutor" in ending else 1, "grammar": 0}, ending)
    assert stepping_out(todo(left(), waiting(), capacity=capacity)) == []
    assert stepping_out(todo(left(), waiting(), waiting("li"), capacity=capacity)) == [
        ("maria", "li")
    ]


def test_a_slot_of_another_tutor_helps_if_only_the_host_is_full() -> None:
    """Not where the tutor itself has as many lessons as it may."""
    grammar = left(tutor="grammar")
    assert stepping_out(todo(grammar, waiting(), capacity=Capacity(0, {"tutor": 1, "grammar": 0})))
    assert not stepping_out(
        todo(grammar, waiting(), capacity=Capacity(5, {"tutor": 0, "grammar": 0}))
    )
    assert stepping_out(todo(left(), waiting(), capacity=Capacity(5, {"tutor": 0, "grammar": 0})))


def test_nobody_steps_out_where_that_makes_no_slot() -> None:
    """The limit was lowered, or the tutor takes no jobs any more."""
    assert not stepping_out(todo(left(), waiting(), capacity=Capacity(-1, {"tutor": 1})))
    both = todo(left(), left("eva"), waiting(), capacity=Capacity(-1, {"tutor": 1}))
    assert stepping_out(both) == []
    assert not stepping_out(todo(left(), waiting(), capacity=Capacity(0, {"grammar": 1})))


def test_a_specialist_who_is_asked_for_takes_no_absent_learners_slot() -> None:
    """The learner has a tutor, who knows what to do."""
    asked = waiting(wanted=frozenset(), asked={"tutor": Ask("ana", NOW - 10)})
    assert todo(left(), asked) == []


def test_whom_another_host_may_serve_takes_no_slot_before_it_had_the_time() -> None:
    """The learner is not notified of a wait before that."""
    late = NOW - 10 + DISPATCH_GRACE + 5
    assert todo(left(), waiting(), now=late - 0.1, others=5.0) == []
    assert stepping_out(todo(left(), waiting(), now=late, others=5.0))


def test_who_comes_back_is_next_in_line() -> None:
    """Before those who have been waiting for longer; their lesson goes on."""
    back = PresentLearner("maria", "maria", "PA_again", NOW, NOW)
    lost = Interrupted(row("maria"), "agent-1", NOW - 5)
    again = RoomSnapshot("maria", (back,), wanted=RUNNING, interrupted=(lost,))
    one_free = Capacity(1, {"tutor": 1})
    [call] = [
        one for one in todo(waiting(), again, capacity=one_free) if isinstance(one, DispatchTutor)
    ]
    assert (call.learner, call.lesson) == (back, lost)


def test_who_comes_back_to_a_full_host_waits_for_the_next_absent_learners_slot() -> None:
    """Returning learners are first in line."""
    back = PresentLearner("maria", "maria", "PA_again", NOW, NOW)
    lost = Interrupted(row("maria"), "agent-1", NOW - 5)
    again = RoomSnapshot("maria", (back,), wanted=RUNNING, interrupted=(lost,))
    assert stepping_out(todo(waiting(), again, left("eva"))) == [("eva", "maria")]


def test_other_learners_in_the_room_get_neither_the_lesson_nor_its_tutor() -> None:
    """Until the reconnect timeout of the learner who left; other rooms are served meanwhile."""
    here = waiting().learners
    room = replace(left(), learners=here, wanted=RUNNING)
    assert stepping_out(todo(room, waiting("li"))) == [("maria", "li")]
    lost = Interrupted(row("maria"), "agent-1", NOW - 5)
    after = RoomSnapshot("maria", here, wanted=RUNNING, interrupted=(lost,))
    actions = todo(after, capacity=Capacity(1, {"tutor": 1}))
    assert not [one for one in actions if isinstance(one, DispatchTutor)]


def test_a_learner_whom_livekit_sends_no_tutor_any_more_is_notified_at_once() -> None:
    """This host refused the only dispatch that there is."""
    new = waiting(seen_at=NOW)
    assert todo(new) == []
    [tell] = todo(replace(new, refused=RUNNING))
    assert isinstance(tell, NotifyWaiting)
    assert todo(replace(new, refused=RUNNING), others=5.0) == []


def test_who_is_taught_by_another_tutor_is_not_spoken_to() -> None:
    """The attribute tells them."""
    taught = waiting(wanted=frozenset({"tutor", "grammar"}), taught=frozenset({"grammar"}))
    assert [one.aloud for one in todo(taught) if isinstance(one, NotifyWaiting)] == [False]
    assert [one.aloud for one in todo(waiting()) if isinstance(one, NotifyWaiting)] == [True]


tutors = st.sampled_from(["tutor", "grammar"])
ages = st.sampled_from([0.0, RELOAD_SECONDS, 9.0])


@given(
    st.lists(st.tuples(tutors, ages), max_size=5),
    st.lists(tutors, max_size=5),
    st.builds(
        Capacity,
        st.integers(-1, 2),
        st.fixed_dictionaries({"tutor": st.integers(0, 2), "grammar": st.integers(0, 2)}),
        st.lists(tutors, max_size=2).map(tuple),
    ),
)
def test_whatever_is_seen_each_who_steps_out_makes_a_slot_for_one_who_waits(
    absent: list[tuple[str, float]], wanting: list[str], capacity: Capacity
) -> None:
    """No lesson steps out twice, without a waiting learner, or while a slot is free."""
    rooms = [
        left(f"left{number}", since=NOW - age, tutor=tutor)
        for number, (tutor, age) in enumerate(absent)
    ]
    rooms += [
        waiting(f"user{number}", wanted=frozenset({tutor})) for number, tutor in enumerate(wanting)
    ]
    actions = todo(*rooms, capacity=capacity)
    steps = [one for one in actions if isinstance(one, RequestStepOut)]
    called = [one for one in actions if isinstance(one, DispatchTutor)]
    assert len({one.lesson.row.id for one in steps}) == len(steps)
    assert len({one.call.room for one in steps} | {one.room for one in called}) == len(
        [*steps, *called]
    )
    assert all(NOW - one.lesson.since >= RELOAD_SECONDS for one in steps)
    made = capacity.reserve(one.tutor for one in called).release(
        [*capacity.ending, *(one.lesson.row.tutor for one in steps)]
    )
    for one in steps:
        assert made.fits(one.call.tutor)
        made = made.reserve([one.call.tutor])

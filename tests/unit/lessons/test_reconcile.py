"""Decisions of the reconciler on snapshots: examples, then properties."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.lessons.decisions import (
    APOLOGY_SECONDS,
    DISPATCH_GRACE,
    Action,
    Ask,
    Capacity,
    Close,
    DispatchTutor,
    Interrupted,
    NotifyWaiting,
    PresentLearner,
    RoomSnapshot,
    decide,
)
from loqua_host.records.ledger import MAX_CRASHES, LessonRow

NOW = 1_800_000_000.0
RECONNECT_TIMEOUT = 30.0
FREE = Capacity(10, {"tutor": 10, "grammar": 10})
FULL = Capacity(10, {"tutor": 0, "grammar": 10})


MEASURED = Capacity(0, {"tutor": 10, "grammar": 10}, measured=True)
"""A machine that carries no more."""


def present(user_id: str = "maria", **changes: object) -> PresentLearner:
    """Return a learner who has been here for a minute."""
    one = PresentLearner(user_id, user_id, f"PA_{user_id}", NOW - 60, NOW - 60)
    return replace(one, **changes)  # type: ignore[arg-type]  # the caller's own


def lost(user_id: str = "maria", *, since: float = NOW, **changes: object) -> Interrupted:
    """Return a lesson that has lost its job."""
    row = LessonRow(f"l-{user_id}", "s", "s", user_id, "room", "tutor", "agent", NOW - 60)
    return Interrupted(replace(row, **changes), "agent-1", since)  # type: ignore[arg-type]


def snapshot(room: str = "room", **changes: object) -> RoomSnapshot:
    """Return a room with a learner and a dispatch that brought nobody."""
    one = RoomSnapshot(room, learners=(present(),), wanted=frozenset({"tutor"}))
    return replace(one, **changes)  # type: ignore[arg-type]  # the caller's own


def todo(*snapshots: RoomSnapshot, capacity: Capacity = FREE, now: float = NOW) -> list[Action]:
    """Decide."""
    return decide(snapshots, capacity, now, RECONNECT_TIMEOUT)


def called(actions: Sequence[Action]) -> list[tuple[str, str, str]]:
    """Return who is called where and for whom."""
    return [
        (one.room, one.tutor, one.learner.user_id)
        for one in actions
        if isinstance(one, DispatchTutor)
    ]


def test_a_learner_whose_dispatch_brought_nobody_gets_a_tutor() -> None:
    """After a full host, or when LiveKit lost it."""
    assert called(todo(snapshot())) == [("room", "tutor", "maria")]


def test_livekit_has_a_while_to_bring_the_tutor_itself() -> None:
    """Two dispatches would bring two tutors."""
    new = snapshot(learners=(present(seen_at=NOW),))
    assert todo(new) == []
    assert called(todo(new, now=NOW + DISPATCH_GRACE)) == [("room", "tutor", "maria")]


@pytest.mark.parametrize("where", ["taught", "called"])
def test_a_tutor_that_is_here_or_on_its_way_is_not_called(where: str) -> None:
    """There is one tutor of each kind."""
    assert todo(snapshot(**{where: frozenset({"tutor"})})) == []


def test_a_specialist_is_called_into_a_room_whose_tutor_teaches() -> None:
    """They are of two kinds."""
    both = snapshot(wanted=frozenset({"tutor", "grammar"}), taught=frozenset({"tutor"}))
    assert called(todo(both)) == [("room", "grammar", "maria")]


def test_nobody_is_called_again_in_the_entry_it_was_settled_in() -> None:
    """Ended or refused; entering again is another entry."""
    closed_entries = frozenset({("PA_maria", "tutor")})
    assert todo(snapshot(closed_entries=closed_entries)) == []
    again = present(entry="PA_again")
    assert called(todo(snapshot(learners=(again,), closed_entries=closed_entries)))


def test_what_is_settled_counts_for_all_devices_that_a_learner_is_here_by() -> None:
    """The second tab of one whose lesson has ended waits for nobody."""
    tabs = (present(), present(identity="tab", entry="PA_tab"))
    assert todo(snapshot(learners=tabs, closed_entries=frozenset({("PA_maria", "tutor")}))) == []


def test_the_next_learner_in_the_room_gets_the_tutor_whose_lesson_ended() -> None:
    """And not the one who had it."""
    both = (present(), present("ana"))
    closed_entries = frozenset({("PA_maria", "tutor")})
    assert called(todo(snapshot(learners=both, closed_entries=closed_entries))) == [
        ("room", "tutor", "ana")
    ]


ASKED = {"grammar": Ask("maria", NOW)}


def test_a_specialist_who_is_asked_for_is_called_at_once() -> None:
    """At once, even after a closed lesson: the learner's tutor wants it now."""
    new = (present(seen_at=NOW),)
    closed_entries = frozenset({("PA_maria", "grammar")})
    room = snapshot(learners=new, wanted=frozenset(), asked=ASKED, closed_entries=closed_entries)
    assert called(todo(room)) == [("room", "grammar", "maria")]


def test_a_specialist_comes_to_the_learner_it_was_asked_for() -> None:
    """That learner may not be the first in the room."""
    both = snapshot(learners=(present("ana"), present()), wanted=frozenset(), asked=ASKED)
    assert called(todo(both)) == [("room", "grammar", "maria")]
    other = snapshot(learners=(present("ana"),), wanted=frozenset(), asked=ASKED)
    assert todo(other) == []


@pytest.mark.parametrize("where", ["taught", "called"])
def test_an_asked_specialist_that_is_here_or_on_its_way_is_not_called(where: str) -> None:
    """There is one specialist of each kind."""
    here = {where: frozenset({"grammar"})}
    assert todo(snapshot(wanted=frozenset(), asked=ASKED, **here)) == []


def test_who_waits_for_a_tutor_does_not_wait_for_one_asked_for_by_somebody_who_left() -> None:
    """The ask is for nobody any more."""
    asked = {"tutor": Ask("ana", NOW)}
    assert called(todo(snapshot(asked=asked))) == [("room", "tutor", "maria")]


def test_a_full_host_sends_no_specialist_and_asks_no_learner_to_wait() -> None:
    """The learner has a tutor, who knows what to do."""
    full = Capacity(10, {"tutor": 10, "grammar": 0})
    assert todo(snapshot(wanted=frozenset(), asked=ASKED), capacity=full) == []


@pytest.mark.parametrize(
    "capacity",
    [Capacity(0, {"tutor": 0, "grammar": 0}), Capacity(10, {"tutor": 10})],
    ids=["full", "without the specialist"],
)
def test_a_host_that_has_no_specialist_sends_for_one_to_others(capacity: Capacity) -> None:
    """They do not hear of it but by the dispatch."""
    room = snapshot(wanted=frozenset(), asked=ASKED)
    assert called(decide([room], capacity, NOW, RECONNECT_TIMEOUT, others=5.0)) == [
        ("room", "grammar", "maria")
    ]
    assert decide([room], capacity, NOW, RECONNECT_TIMEOUT) == []


def test_a_specialist_that_has_come_is_not_called_again() -> None:
    """Its own host restores it; the caller waits."""
    asked = {"grammar": Ask("maria", NOW, due=False)}
    assert todo(snapshot(wanted=frozenset(), asked=asked)) == []


def test_an_asked_specialist_that_crashed_comes_back_to_its_lesson() -> None:
    """It is called for the lesson, not for a new one."""
    crashed = lost(tutor="grammar")
    [call] = todo(snapshot(wanted=frozenset(), asked=ASKED, interrupted=(crashed,)))
    assert isinstance(call, DispatchTutor)
    assert call.lesson == crashed


def test_a_lost_lesson_comes_back_without_delay() -> None:
    """Its learner hears silence; the dead tutor is named for removal."""
    [call] = todo(snapshot(learners=(present(seen_at=NOW),), interrupted=(lost(),)))
    assert isinstance(call, DispatchTutor)
    assert call.lesson == lost()


def test_a_lost_lesson_waits_for_its_learner_for_the_grace_and_is_closed_then() -> None:
    """With its record from the last progress."""
    empty = snapshot(learners=(), interrupted=(lost(),))
    assert todo(empty, now=NOW + RECONNECT_TIMEOUT) == []
    assert todo(empty, now=NOW + RECONNECT_TIMEOUT + 1) == [Close(lost(), "learner_left")]


def test_a_lost_lesson_waits_for_its_learner_from_when_there_is_a_room_to_enter() -> None:
    """LiveKit may have been away for longer than `reconnect_timeout`."""
    back = snapshot(learners=(), interrupted=(lost(since=NOW - 90),), since=NOW)
    assert todo(back, now=NOW + RECONNECT_TIMEOUT) == []
    assert len(todo(back, now=NOW + RECONNECT_TIMEOUT + 1)) == 1


def test_a_lost_lesson_is_not_closed_while_its_learner_waits_for_a_slot() -> None:
    """However long that takes."""
    full = snapshot(interrupted=(lost(),))
    assert todo(full, capacity=FULL, now=NOW + 3600) == [
        NotifyWaiting("room", present(), waiting=True, tutor="tutor", aloud=True)
    ]


def test_a_lesson_that_crashes_again_and_again_is_closed() -> None:
    """At once if its learner is gone, else once there was time to come and apologise."""
    looping = lost(crashes=MAX_CRASHES)
    close = Close(looping, "crash_loop")
    assert called(todo(snapshot(interrupted=(looping,)))) == [("room", "tutor", "maria")]
    assert todo(snapshot(interrupted=(looping,)), now=NOW + APOLOGY_SECONDS + 1) == [close]
    assert todo(snapshot(learners=(), interrupted=(looping,))) == [close]


def test_a_lesson_whose_tutor_runs_here_no_more_is_closed() -> None:
    """No worker would accept its job."""
    gone = lost(tutor="retired")
    assert todo(snapshot(wanted=frozenset({"retired"}), interrupted=(gone,))) == [
        Close(gone, "tutor_disabled")
    ]


def test_nobody_but_its_learner_is_brought_the_tutor_of_a_lost_lesson() -> None:
    """Until the timeout is over."""
    other = snapshot(learners=(present("ana"),), interrupted=(lost(),))
    assert todo(other) == []
    assert todo(other, now=NOW + RECONNECT_TIMEOUT + 1) == [Close(lost(), "learner_left")]
    assert called(todo(replace(other, interrupted=()))) == [("room", "tutor", "ana")]


def test_lost_lessons_come_first_and_then_who_came_first() -> None:
    """Capacity is given in that order."""
    rooms = [
        snapshot("late", learners=(present("late", joined_at=NOW - 10),)),
        snapshot("early", learners=(present("early", joined_at=NOW - 20),)),
        snapshot("lost", learners=(present(joined_at=NOW - 5),), interrupted=(lost(),)),
    ]
    two = Capacity(2, {"tutor": 5})
    assert [room for room, _, _ in called(todo(*rooms, capacity=two))] == ["lost", "early"]


def test_who_has_to_wait_is_notified_once_and_again_when_served() -> None:
    """In between nothing is said."""
    waits, notified = present(), present(notified=True, notified_here=True)
    assert todo(snapshot(), capacity=FULL) == [
        NotifyWaiting("room", waits, waiting=True, tutor="tutor", aloud=True)
    ]
    assert todo(snapshot(learners=(notified,)), capacity=FULL) == []
    assert todo(snapshot(learners=(notified,), called=frozenset({"tutor"}))) == []
    served = snapshot(learners=(notified,), taught=frozenset({"tutor"}))
    assert todo(served) == [NotifyWaiting("room", notified, waiting=False)]
    elsewhere = snapshot(learners=(present(notified=True),), taught=frozenset({"tutor"}))
    assert todo(elsewhere) == []


@pytest.mark.parametrize("interrupted", [(), (lost(since=NOW - 60 + DISPATCH_GRACE),)])
def test_who_may_find_a_slot_at_another_host_is_notified_later(
    interrupted: tuple[Interrupted, ...],
) -> None:
    """The notice comes if no host has dispatched a tutor, who would talk into the notice."""
    full, waited = [snapshot(interrupted=interrupted)], 60 - DISPATCH_GRACE
    assert decide(full, FULL, NOW, RECONNECT_TIMEOUT, others=waited + 0.1) == []
    tell = NotifyWaiting("room", present(), waiting=True, tutor="tutor", aloud=True)
    assert decide(full, FULL, NOW, RECONNECT_TIMEOUT, others=waited) == [tell]


def test_a_slot_that_was_given_away_is_given_to_nobody_else() -> None:
    """In the host as for the tutor."""
    assert not Capacity(1, {"tutor": 5}).reserve(["grammar"]).fits("tutor")
    assert not Capacity(5, {"tutor": 1}).reserve(["tutor"]).fits("tutor")
    assert Capacity(5, {"tutor": 1}).reserve(["grammar"]).fits("tutor")


names = st.sampled_from(["tutor", "grammar", "stranger"])
users = st.sampled_from(["maria", "ana", "li"])


@st.composite
def snapshots(draw: st.DrawFn) -> list[RoomSnapshot]:
    """Draw rooms in any state."""
    numbers = count()

    def learner(user_id: str) -> PresentLearner:
        entry = f"PA_{next(numbers)}"
        since = NOW - draw(st.sampled_from([0.0, 2.0, 5.0, 500.0]))
        notified, here = draw(st.sampled_from([(False, False), (True, False), (True, True)]))
        return PresentLearner(user_id, entry, entry, since, since, notified, here)

    def one(room: str) -> RoomSnapshot:
        here = tuple(learner(user_id) for user_id in draw(st.lists(users, max_size=3)))
        entries = st.sampled_from([*(one.entry for one in here), "PA_gone"])
        gone = [
            lost(
                user_id,
                since=NOW - draw(st.sampled_from([0.0, 31.0])),
                id=f"{room}-{user_id}",
                tutor=draw(names),
                crashes=draw(st.integers(0, MAX_CRASHES)),
                room=room,
            )
            for user_id in draw(st.lists(users, unique=True, max_size=2))
        ]
        return RoomSnapshot(
            room,
            here,
            wanted=frozenset(draw(st.sets(names))),
            taught=frozenset(draw(st.sets(names))),
            interrupted=tuple(gone),
            called=frozenset(draw(st.sets(names))),
            closed_entries=frozenset(draw(st.sets(st.tuples(entries, names)))),
            asked=draw(st.dictionaries(names, st.builds(Ask, users, st.just(NOW)), max_size=1)),
        )

    return [one(f"room{number}") for number in range(draw(st.integers(1, 4)))]


capacity = st.builds(
    Capacity,
    st.integers(-1, 4),
    st.fixed_dictionaries({"tutor": st.integers(0, 3)}, optional={"grammar": st.integers(0, 3)}),
)


@given(snapshots(), capacity)
def test_whatever_is_seen_nobody_gets_a_tutor_without_need(
    seen: list[RoomSnapshot], free: Capacity
) -> None:
    """Nor two of a kind, nor a place that is not there."""
    actions = decide(seen, free, NOW, RECONNECT_TIMEOUT)
    rooms = {one.room: one for one in seen}
    calls = [action for action in actions if isinstance(action, DispatchTutor)]
    assert len({(call.room, call.tutor) for call in calls}) == len(calls) <= max(0, free.host)
    for tutor, number in Counter(call.tutor for call in calls).items():
        assert number <= free.tutors[tutor]
    for call in calls:
        room = rooms[call.room]
        assert call.tutor not in room.taught | room.called
        assert call.learner in room.learners
        if call.asked and call.lesson is None:
            assert call.learner.user_id == room.asked[call.tutor].user_id
        elif call.lesson is None:
            assert call.tutor in room.wanted
            assert (call.learner.entry, call.tutor) not in room.closed_entries
        else:
            assert call.lesson.row.user_id == call.learner.user_id
            late = NOW - call.lesson.since > APOLOGY_SECONDS
            assert call.lesson.row.crashes < MAX_CRASHES or not late


@given(snapshots())
def test_whatever_is_seen_nobody_waits_while_there_are_slots(
    seen: list[RoomSnapshot],
) -> None:
    """Each learner has a tutor, a dispatched tutor, or waits behind another in the room."""
    actions = decide(
        seen, Capacity(99, {"tutor": 99, "grammar": 99}), NOW + RECONNECT_TIMEOUT, RECONNECT_TIMEOUT
    )
    served = {(call.room, call.tutor) for call in actions if isinstance(call, DispatchTutor)}
    for room in seen:
        closed_users = {
            one.user_id for one in room.learners if (one.entry, "tutor") in room.closed_entries
        }
        waiting = [one for one in room.learners if one.user_id not in closed_users]
        kept = any(one.row.tutor == "tutor" for one in room.interrupted)
        if waiting and "tutor" in room.wanted and not kept:
            assert (room.room, "tutor") in served or "tutor" in room.taught | room.called


@given(snapshots(), capacity)
def test_deciding_again_on_what_was_done_does_nothing_twice(
    seen: list[RoomSnapshot], free: Capacity
) -> None:
    """Calls are on their way, closed lessons gone, learners notified."""
    done = decide(seen, free, NOW, RECONNECT_TIMEOUT)
    assert decide(seen, free, NOW, RECONNECT_TIMEOUT) == done
    after = [_after(one, done) for one in seen]
    left = free.reserve(one.tutor for one in done if isinstance(one, DispatchTutor))
    again = decide(after, left, NOW, RECONNECT_TIMEOUT)
    assert not [one for one in again if isinstance(one, Close)]
    repeated = {(c.room, c.tutor) for c in done if isinstance(c, DispatchTutor)}
    assert not [
        one for one in again if isinstance(one, DispatchTutor) and (one.room, one.tutor) in repeated
    ]


def _after(room: RoomSnapshot, done: list[Action]) -> RoomSnapshot:
    calls = {one.tutor for one in done if isinstance(one, DispatchTutor) and one.room == room.room}
    closed = {one.lesson.row.id for one in done if isinstance(one, Close)}
    return replace(
        room,
        called=room.called | calls,
        interrupted=tuple(one for one in room.interrupted if one.row.id not in closed),
    )


def test_a_lesson_that_goes_on_needs_no_room_on_the_machine() -> None:
    """Resumed lessons and called specialists have a slot; new learners wait."""
    crashed = snapshot("crashed", interrupted=(lost(),))
    asking = snapshot("asking", taught=frozenset({"tutor"}), asked={"grammar": Ask("maria", NOW)})
    new = snapshot("new")
    calls = called(todo(crashed, asking, new, capacity=MEASURED))
    assert calls == [("crashed", "tutor", "maria"), ("asking", "grammar", "maria")]


def test_who_gave_a_slot_away_waits_for_another() -> None:
    """The machine carries whoever has it instead."""
    back = snapshot(interrupted=(replace(lost(), stepped_out=True),))
    assert called(todo(back, capacity=MEASURED)) == []
    assert called(todo(back, capacity=replace(MEASURED, host=1)))


def test_a_number_of_lessons_binds_those_that_go_on_too() -> None:
    """It is the operator's word, and a crash has given its place back."""
    crashed = snapshot(interrupted=(lost(),))
    assert called(todo(crashed, capacity=replace(MEASURED, measured=False))) == []

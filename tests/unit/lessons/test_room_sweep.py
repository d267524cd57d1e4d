"""The choice of rooms to read: all of a few, the active ones of very many."""

from collections.abc import Callable

import pytest

from loqua_host.lessons.room_sweep import (
    QUIET_AT_ONCE,
    ROUND_SECONDS,
    SETTLE_SECONDS,
    RoomSweep,
)
from loqua_host.rooms.rooms import RoomCounts

MANY = {f"room-{number:05}" for number in range(1000)}
ROOM = "room-00777"


def settled(rooms: set[str]) -> RoomSweep:
    """Return a sweep that has known these rooms, and who is in them, for a minute."""
    sweep = RoomSweep()
    for room in rooms:
        sweep.note(room, ["ana"], 0)
        sweep.note(room, ["ana"], SETTLE_SECONDS)
    sweep.note_counts(counts(rooms))
    return sweep


def counts(rooms: set[str]) -> dict[str, RoomCounts]:
    """Return LiveKit's list of these rooms: a learner and a tutor in each."""
    return dict.fromkeys(rooms, RoomCounts(1, 2))


def test_a_few_rooms_are_always_all_read() -> None:
    """However long nothing happens in them."""
    rooms = {f"room-{number}" for number in range(QUIET_AT_ONCE)}
    sweep = settled(rooms)
    for now in (60, 60.1, 3600):
        assert sweep.choose(rooms, (), (), now) == rooms


def test_of_very_many_quiet_rooms_each_has_its_turn() -> None:
    """Some at a time, each once in a round, also while rooms come and go."""
    sweep, seen = settled(MANY), list[str]()
    for turn in range(len(MANY) // QUIET_AT_ONCE):
        seen += sweep.choose(MANY, (), (), 60 + 2 * turn)
    assert (len(seen), set(seen)) == (len(MANY), MANY)
    assert len(sweep.choose({*sorted(MANY)[:500]}, (), (), 3600)) == QUIET_AT_ONCE


def test_each_of_very_many_rooms_with_a_lesson_has_its_turn_in_half_a_minute() -> None:
    """However many rooms of other hosts there are; a few are always all read."""
    sweep, taught = settled(MANY), {*sorted(MANY)[::2]}
    turns = [sweep.choose(MANY, (), taught, 60 + 2 * n) for n in range(int(ROUND_SECONDS / 2) + 1)]
    assert taught <= set[str]().union(*turns)
    assert max(map(len, turns)) < len(taught) / 8
    few = {*sorted(MANY)[:QUIET_AT_ONCE]}
    assert all(few <= sweep.choose(MANY, (), few, 3600 + n / 4) for n in range(4))


def test_events_do_not_speed_up_the_sweep() -> None:
    """They wake the reconciler four times a second; the quiet rooms have a turn in two seconds."""
    sweep = settled(MANY)
    read = sum(len(sweep.choose(MANY, (), (), 60 + number / 4)) for number in range(40))
    assert read <= 6 * QUIET_AT_ONCE


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(lambda sweep: sweep.mark_changed([ROOM]), id="a webhook"),
        pytest.param(lambda sweep: sweep.note(ROOM, ["ana", "ben"], 60), id="an arrival"),
        pytest.param(lambda sweep: sweep.note(ROOM, [], 60), id="a departure"),
        pytest.param(lambda sweep: sweep.note_counts(counts(MANY - {ROOM})), id="a new room"),
        pytest.param(
            lambda sweep: sweep.note_counts(counts(MANY) | {ROOM: RoomCounts(2, 2)}),
            id="another participant in LiveKit's list",
        ),
        pytest.param(
            lambda sweep: sweep.note_counts(counts(MANY) | {ROOM: RoomCounts(1, 1)}),
            id="a tutor that no longer publishes, in LiveKit's list",
        ),
    ],
)
def test_a_room_in_which_something_happens_is_read_each_time(
    happens: Callable[[RoomSweep], None],
) -> None:
    """Until its participants have been the same for a while; then it has its turns as before."""
    sweep = settled(MANY)
    happens(sweep)
    for now in (60.25, 61, 60 + SETTLE_SECONDS / 2):
        assert ROOM in sweep.choose(MANY, (), (), now)
    sweep.note(ROOM, ["whoever"], 60)
    sweep.note(ROOM, ["whoever"], 60 + SETTLE_SECONDS)
    later = [
        sweep.choose(MANY, (), (), 80 + 2 * turn) for turn in range(len(MANY) // QUIET_AT_ONCE)
    ]
    assert sum(ROOM in chosen for chosen in later) == 1


def test_a_room_is_not_quiet_before_it_was_read_again() -> None:
    """While LiveKit does not answer, nobody knows whether a new learner has a tutor by now."""
    sweep = settled(MANY - {ROOM})
    sweep.note(ROOM, ["new"], 60)
    assert ROOM in sweep.choose(MANY, (), (), 3600)


def test_a_room_with_unfinished_business_is_read_each_time() -> None:
    """Also one that LiveKit does not know."""
    sweep = settled(MANY)
    for now in (60, 60.25, 60.5):
        assert {"room-00001", "gone"} <= sweep.choose(MANY, ["room-00001", "gone"], (), now)

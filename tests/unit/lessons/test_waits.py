"""The waits of learners, as operators see them."""

from dataclasses import replace

import pytest

from loqua_host.lessons.decisions import Capacity, Interrupted, PresentLearner, RoomSnapshot, waits
from loqua_host.records.ledger import LessonRow

NOW = 1_800_000_000.0
PLACES = Capacity(10, {"tutor": 10})
MARIA = PresentLearner("maria", "maria", "PA_1", NOW - 60, NOW - 60)
ROOM = RoomSnapshot("room", learners=(MARIA,), wanted=frozenset({"tutor"}))
LOST = Interrupted(
    LessonRow("l1", "v1", "v1", "maria", "room", "tutor", "agent", NOW - 300), None, NOW - 8
)


def since(snapshot: RoomSnapshot, capacity: Capacity = PLACES) -> list[float]:
    """Return since when learners of the room wait, in seconds before now."""
    return [NOW - call.since for call in waits(snapshot, capacity, NOW)]


@pytest.mark.parametrize("called", [frozenset[str](), frozenset({"tutor"})])
def test_a_learner_waits_since_they_came_whether_a_tutor_was_called_or_not(
    called: frozenset[str],
) -> None:
    """A call is no tutor."""
    assert since(replace(ROOM, called=called)) == [60]


def test_a_learner_waits_in_a_full_host_too() -> None:
    """The wait is longest then."""
    assert since(ROOM, Capacity(0, {"tutor": 0})) == [60]


def test_a_learner_whose_tutor_was_lost_waits_since_then() -> None:
    """Not since they came."""
    assert since(replace(ROOM, interrupted=(LOST,))) == [8]


@pytest.mark.parametrize(
    "changes",
    [
        {"taught": frozenset({"tutor"})},
        {"learners": ()},
        {"learners": (), "interrupted": (LOST,)},
        {"closed_entries": frozenset({("PA_1", "tutor")})},
        {"wanted": frozenset()},
        {"learners": (replace(MARIA, seen_at=NOW),)},
    ],
)
def test_nobody_waits_who_is_taught_gone_done_or_just_here(changes: dict[str, object]) -> None:
    """No alert fires for them."""
    assert since(replace(ROOM, **changes)) == []  # type: ignore[arg-type]  # by parameter

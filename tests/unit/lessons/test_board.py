"""Who stands ahead of whom for a place."""

import pytest

from loqua_host.contract.handoff import Handover
from loqua_host.lessons.board import CALL_SECONDS, Board
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import LessonRow

ROW = LessonRow("lesson", "visit", "visit", "maria", "room", "tutor", "agent", 0.0)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
async def board(clock: Clock) -> Board:
    """Return a board."""
    return Board(clock)


async def test_who_is_called_for_stands_ahead_of_who_just_comes(board: Board, clock: Clock) -> None:
    """Until the call is taken, or taken to be lost."""
    board.on_called("one", "tutor", "maria")
    assert board.ahead_of("new", "tutor") == ["tutor"]
    board.on_accepted(JobRef("job", "one", "tutor"))
    assert board.ahead_of("new", "tutor") == []
    board.on_called("two", "tutor", "ana")
    clock.now += CALL_SECONDS
    assert board.ahead_of("new", "tutor") == []


async def test_who_waits_stands_ahead_of_who_just_comes_but_not_of_who_is_called_for(
    board: Board,
) -> None:
    """Or nobody who is called would ever find a place."""
    board.waiting = frozenset({("one", "tutor"), ("two", "tutor"), ("three", "grammar")})
    assert sorted(board.ahead_of("new", "tutor")) == ["grammar", "tutor", "tutor"]
    board.on_called("one", "tutor", "maria")
    board.on_called("two", "tutor", "ana")
    assert board.ahead_of("one", "tutor") == ["tutor"]


async def test_whom_this_host_refuses_nobody_else_may_serve_unless_there_are_others(
    board: Board,
) -> None:
    """A job that is accepted after all, or a room that is gone, ends that."""
    board.on_full("one", "tutor")
    assert board.changed.is_set()
    assert board.refused("one") == {"tutor"}
    board.shared = True
    assert board.refused("one") == frozenset()
    board.shared = False
    board.on_accepted(JobRef("job", "one", "tutor"))
    assert board.refused("one") == frozenset()
    board.on_full("two", "tutor")
    board.forget_rooms(set())
    assert board.refused("two") == frozenset()


async def test_a_job_without_a_lesson_is_about_to_end(board: Board) -> None:
    """However its lesson went, or if it had none."""
    taught, refused = JobRef("taught", "one", "tutor"), JobRef("refused", "one", "grammar")
    board.on_taught(taught)
    assert not board.is_over("taught")
    board.on_over(taught)
    board.on_settled(refused, "PA_1")
    assert board.is_over("taught")
    assert board.is_over("refused")
    board.forget_rooms(set())
    assert not board.is_over("taught")


async def test_who_has_had_a_place_goes_on(board: Board) -> None:
    """After a crash, by a tutor's wish, or as it was decided; not who gave the place away."""
    board.on_interrupted(ROW, "agent")
    assert board.goes_on("room", "tutor")
    board.on_interrupted(ROW, "agent", since=1.0)
    assert not board.goes_on("room", "tutor")
    board.on_called("room", "tutor", "maria")
    assert board.goes_on("room", "tutor")
    assert not board.goes_on("room", "grammar")
    with board.asking("room", "grammar", "maria", Handover(tutor="tutor")):
        assert board.goes_on("room", "grammar")

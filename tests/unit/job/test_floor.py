"""The floor: the automatic tutor is silent while a specialist is in the room."""

import asyncio
from typing import Any

import pytest

from loqua_host.job.room.floor import FLOOR, Floor, is_specialist, until_free

AGENT, STANDARD, SIP = 4, 0, 3


@pytest.fixture
def changes() -> list[bool]:
    """Return the reported changes of the floor."""
    return []


@pytest.fixture
def floor(job: Any, changes: list[bool]) -> Floor:
    """Return a floor that follows the job's room."""
    floor = Floor(job.room, changes.append)
    floor.watch()
    return floor


def specialist_enters(job: Any, identity: str = "agent-2") -> None:
    """Enter a specialist into the room."""
    job.room.enter(identity, AGENT, lk_agent_name="grammar-expert")


async def test_a_specialist_takes_the_floor_and_gives_it_back(
    job: Any, floor: Floor, changes: list[bool]
) -> None:
    """By coming and going."""
    specialist_enters(job)
    assert not floor.held
    job.room.leave("agent-2")
    assert floor.held
    assert changes == [False, True]


@pytest.mark.usefixtures("floor")
async def test_the_floor_comes_back_with_the_last_specialist(job: Any, changes: list[bool]) -> None:
    """Two may be there at once."""
    specialist_enters(job)
    specialist_enters(job, "agent-3")
    job.room.leave("agent-2")
    assert changes == [False]
    job.room.leave("agent-3")
    assert changes == [False, True]


async def test_a_specialist_who_was_there_first_has_the_floor(
    job: Any, changes: list[bool]
) -> None:
    """A tutor that comes back after a crash does not talk into its lesson."""
    specialist_enters(job)
    Floor(job.room, changes.append).watch()
    assert changes == [False]


@pytest.mark.usefixtures("floor")
async def test_an_agents_name_may_come_after_the_agent(job: Any, changes: list[bool]) -> None:
    """Attributes arrive when they arrive."""
    job.room.enter("agent-2", AGENT)
    assert changes == []
    specialist = job.room.remote_participants["agent-2"]
    specialist.attributes["lk.agent.name"] = "grammar-expert"
    job.room.emit("participant_attributes_changed", {}, specialist)
    assert changes == [False]


@pytest.mark.usefixtures("floor")
@pytest.mark.parametrize(("kind", "name"), [(STANDARD, "x"), (SIP, "x"), (AGENT, "")])
async def test_nobody_else_takes_the_floor(
    job: Any, changes: list[bool], kind: int, name: str
) -> None:
    """No learner by calling itself an agent, and no other automatic agent."""
    job.room.enter("other", kind, lk_agent_name=name)
    assert not is_specialist(job.room.remote_participants["other"])
    assert changes == []


async def test_nothing_is_followed_once_the_lesson_closes(
    job: Any, floor: Floor, changes: list[bool]
) -> None:
    """A closed session must not be interrupted."""
    floor.unwatch()
    specialist_enters(job)
    assert changes == []


async def test_a_lent_floor_is_given_and_taken_back_by_hand(
    job: Any, floor: Floor, changes: list[bool]
) -> None:
    """Participants may come and go meanwhile."""
    floor.begin_call()
    specialist_enters(job)
    assert changes == []
    floor.give()
    job.room.leave("agent-2")
    assert changes == [False]
    floor.take_back()
    assert changes == [False, True]


async def test_a_floor_is_not_taken_back_from_a_specialist_who_is_still_there(
    job: Any, floor: Floor, changes: list[bool]
) -> None:
    """It comes back when that one leaves."""
    floor.begin_call()
    specialist_enters(job)
    floor.give()
    floor.take_back()
    assert changes == [False]
    job.room.leave("agent-2")
    assert changes == [False, True]


async def test_only_an_agents_word_keeps_a_specialist_waiting(job: Any) -> None:
    """A learner who claims the floor is not believed."""
    job.room.enter("ana", STANDARD, loqua_floor="true")
    await until_free(job.room)


async def test_the_floor_is_free_when_who_had_it_has_left(job: Any) -> None:
    """Dead or alive."""
    job.room.enter("agent-1", AGENT, **{FLOOR.replace(".", "_"): "true"})
    waiting = asyncio.create_task(until_free(job.room))
    await asyncio.sleep(1)
    assert not waiting.done()
    job.room.leave("agent-1")
    await waiting

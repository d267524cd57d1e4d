"""What is done for a lesson before its job joins."""

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.lessons.house import JOB, MARIA, House, finish, hear, join, learner, until

from loqua_host.link.messages import Recorded, Welcome


async def test_the_api_is_asked_while_the_job_still_connects(house: House) -> None:
    """When the job joins, the token is there."""
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))


async def test_a_job_that_vanishes_before_it_joins_holds_no_lease(house: House) -> None:
    """What was prepared for it is given back."""
    house.lessons.begin(JOB)
    async with house.job():
        pass
    await house.delivered()
    assert house.loqua.held in ({}, {MARIA: 0})


async def test_a_job_that_never_comes_holds_a_lease_for_a_while_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its preparation is dropped after its patience."""
    loop = asyncio.get_running_loop()
    later: list[Callable[[], None]] = []
    monkeypatch.setattr(loop, "call_later", lambda _s, call, *a: later.append(lambda: call(*a)))
    house.lessons.begin(JOB)
    monkeypatch.undo()
    await until(lambda: house.loqua.held.get(MARIA))
    later[0]()
    later[0]()
    await house.delivered()


async def test_a_preparation_dropped_midway_leases_nothing(house: House) -> None:
    """The exchange may come to its end later than the drop."""
    house.loqua.gates["context"] = asyncio.Event()
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))
    async with house.job():
        pass
    await house.delivered()


async def test_a_foreseen_lesson_is_prepared_once_for_the_job_that_comes(house: House) -> None:
    """However often it was foreseen; the job goes on with it."""
    for _ in range(3):
        house.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: house.loqua.held.get(MARIA))
    house.lessons.begin(JOB)
    async with house.job() as link:
        assert isinstance(await join(link), Welcome)
        await link.send(finish())
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.leased == 1


async def test_a_lesson_foreseen_in_vain_is_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job comes for it."""
    monkeypatch.setattr("loqua_host.lessons.prefetcher.FORESIGHT_SECONDS", 0.05)
    house.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: house.loqua.leased)
    await until(lambda: not house.loqua.held[MARIA])


async def test_a_foresight_that_failed_is_made_good_by_the_job(house: House) -> None:
    """LiveKit told of the learner before it listed them."""
    inside = house.rooms.inside.pop("room")
    house.lessons.prefetch("room", "conversation", "maria")
    await asyncio.sleep(0)
    house.rooms.inside["room"] = inside
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))


async def test_the_job_sees_another_learner_than_was_prepared_for(house: House) -> None:
    """The prepared lease is given back and the seen learner is taught."""
    house.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    house.lessons.begin(JOB)
    async with house.job() as link:
        welcome = await join(link, "maria")
        assert welcome.learner.user_id == "maria"
        await link.send(finish())
        await hear(link)
    await house.delivered()
    assert house.loqua.leased == 2

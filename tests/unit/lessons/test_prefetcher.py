"""Prefetching for a lesson before its job joins."""

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.lessons.host_under_test import (
    JOB,
    MARIA,
    HostUnderTest,
    finish,
    join,
    learner,
    receive,
    until,
)

from loqua_host.link.messages import Recorded, Welcome


async def test_the_api_is_asked_while_the_job_still_connects(host: HostUnderTest) -> None:
    """The token is there when the job joins."""
    host.lessons.begin(JOB)
    await until(lambda: host.loqua.held.get(MARIA))


async def test_a_job_that_vanishes_before_it_joins_holds_no_lease(host: HostUnderTest) -> None:
    """What was prepared for it is released."""
    host.lessons.begin(JOB)
    async with host.job():
        pass
    await host.delivered()
    assert host.loqua.held in ({}, {MARIA: 0})


async def test_a_job_that_never_comes_holds_a_lease_for_a_while_only(
    host: HostUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its preparation is dropped after its patience."""
    loop = asyncio.get_running_loop()
    later: list[Callable[[], None]] = []
    monkeypatch.setattr(loop, "call_later", lambda _s, call, *a: later.append(lambda: call(*a)))
    host.lessons.begin(JOB)
    monkeypatch.undo()
    await until(lambda: host.loqua.held.get(MARIA))
    later[0]()
    later[0]()
    await host.delivered()


async def test_a_preparation_dropped_midway_leases_nothing(host: HostUnderTest) -> None:
    """The exchange may come to its end later than the drop."""
    host.loqua.gates["context"] = asyncio.Event()
    host.lessons.begin(JOB)
    await until(lambda: host.loqua.held.get(MARIA))
    async with host.job():
        pass
    await host.delivered()


async def test_a_prefetched_lesson_is_prepared_once_for_the_job_that_comes(
    host: HostUnderTest,
) -> None:
    """However often it was foreseen; the job goes on with it."""
    for _ in range(3):
        host.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: host.loqua.held.get(MARIA))
    host.lessons.begin(JOB)
    async with host.job() as link:
        assert isinstance(await join(link), Welcome)
        await link.send(finish())
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.leased == 1


async def test_a_lesson_prefetched_in_vain_is_released(
    host: HostUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job comes for it."""
    monkeypatch.setattr("loqua_host.lessons.prefetcher.PREFETCH_SECONDS", 0.05)
    host.lessons.prefetch("room", "conversation", "maria")
    await until(lambda: host.loqua.leased)
    await until(lambda: not host.loqua.held[MARIA])


async def test_a_foresight_that_failed_is_made_good_by_the_job(host: HostUnderTest) -> None:
    """LiveKit sent the webhook before it listed the learner."""
    inside = host.rooms.inside.pop("room")
    host.lessons.prefetch("room", "conversation", "maria")
    await asyncio.sleep(0)
    host.rooms.inside["room"] = inside
    host.lessons.begin(JOB)
    await until(lambda: host.loqua.held.get(MARIA))


async def test_the_job_sees_another_learner_than_was_prepared_for(host: HostUnderTest) -> None:
    """The prepared lease is given back and the seen learner is taught."""
    host.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    host.lessons.begin(JOB)
    async with host.job() as link:
        welcome = await join(link, "maria")
        assert welcome.learner.user_id == "maria"
        await link.send(finish())
        await receive(link)
    await host.delivered()
    assert host.loqua.leased == 2

"""Single flight."""

import asyncio
from contextlib import aclosing

import pytest

from loqua_host.core.single_flight import SingleFlight


async def test_a_hundred_callers_share_one_fetch() -> None:
    """All get the one result."""
    fetches = 0

    async def fetch() -> str:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(1)
        return "context"

    async with aclosing(SingleFlight[str, str]()) as single_flight:
        results = await asyncio.gather(*(single_flight.join("a", fetch) for _ in range(100)))
        assert results == ["context"] * 100
        assert fetches == 1
        await single_flight.join("a", fetch)
        await single_flight.join("b", fetch)
    assert fetches == 3


async def test_it_survives_a_cancelled_leader() -> None:
    """The other callers get the result."""

    async def fetch() -> str:
        await asyncio.sleep(1)
        return "context"

    async with aclosing(SingleFlight[str, str]()) as single_flight:
        leader = asyncio.create_task(single_flight.join("a", fetch))
        await asyncio.sleep(0)
        follower = asyncio.create_task(single_flight.join("a", fetch))
        await asyncio.sleep(0)
        leader.cancel()
        assert await follower == "context"
        assert leader.cancelled()


async def test_all_share_its_failure_and_the_next_tries_again() -> None:
    """A failure is not kept."""
    fetches = 0

    async def fetch() -> str:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(1)
        raise LookupError

    async with aclosing(SingleFlight[str, str]()) as single_flight:
        for round_ in (1, 2):
            calls = (single_flight.join("a", fetch) for _ in range(3))
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(result) for result in results] == [LookupError] * 3
            assert fetches == round_


async def test_a_failure_that_nobody_waits_for_is_quiet() -> None:
    """No warning of asyncio's appears when all callers have gone."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))

    async def fetch() -> str:
        await asyncio.sleep(1)
        raise LookupError

    async with aclosing(SingleFlight[str, str]()) as single_flight:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(single_flight.join("a", fetch), 0.5)
        await asyncio.sleep(1)
    assert complaints == []


async def test_the_end_of_the_block_ends_what_is_under_way() -> None:
    """No task outlives it."""
    ended = False

    async def fetch() -> str:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            ended = True
        return "late"

    async with aclosing(SingleFlight[str, str]()) as single_flight:
        caller = asyncio.create_task(single_flight.join("a", fetch))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ended
    await asyncio.wait([caller])
    assert caller.cancelled()

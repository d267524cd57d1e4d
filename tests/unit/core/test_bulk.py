"""Batches of many callers' items in one statement."""

import asyncio
from collections.abc import Sequence

import pytest

from loqua_host.core.bulk import Bulk
from loqua_host.errors import RefusedError, UnreachableError


class SlowDatabase:
    """A database that takes a second for a batch, and refuses bad items."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.down = False

    async def insert(self, items: Sequence[str]) -> None:
        """Insert all or nothing."""
        self.batches.append(list(items))
        await asyncio.sleep(1)
        if self.down:
            raise UnreachableError("sessions", "down", sent=True)
        if "bad" in items:
            raise RefusedError("sessions", "bad")


@pytest.fixture
def database() -> SlowDatabase:
    """Return a database that works."""
    return SlowDatabase()


async def outcomes(bulk: Bulk[str], *items: str) -> list[str]:
    """Add items at once; return what became of each."""
    done = await asyncio.gather(*(bulk.add(item) for item in items), return_exceptions=True)
    return ["sent" if one is None else type(one).__name__ for one in done]


async def test_what_waits_goes_together(database: SlowDatabase) -> None:
    """The first goes alone and at once, all others in the next batch."""
    assert await outcomes(Bulk(database.insert), "a", "b", "c", "d") == ["sent"] * 4
    assert database.batches[0][0] == "a"
    assert len(database.batches) <= 2


async def test_a_refused_item_fails_alone(database: SlowDatabase) -> None:
    """The items of its batch are sent one by one."""
    bulk = Bulk(database.insert)
    first = asyncio.create_task(bulk.add("first"))
    await asyncio.sleep(0.5)
    assert await outcomes(bulk, "a", "bad", "c") == ["sent", "RefusedError", "sent"]
    await first
    assert database.batches == [["first"], ["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_an_outage_fails_the_whole_batch_once(database: SlowDatabase) -> None:
    """It is not tried one by one; whoever wants to may try again."""
    database.down = True
    bulk = Bulk(database.insert)
    assert set(await outcomes(bulk, "a", "b")) == {"UnreachableError"}
    tried = len(database.batches)
    assert tried <= 2
    database.down = False
    assert await outcomes(bulk, "a", "b") == ["sent", "sent"]


async def test_one_that_is_cancelled_leaves_the_others_an_answer(database: SlowDatabase) -> None:
    """Its batch may have been sent; what it had only waited with is not."""
    bulk = Bulk(database.insert)
    sender = asyncio.create_task(bulk.add("a"))
    await asyncio.sleep(0.5)
    leaving, staying = asyncio.create_task(bulk.add("b")), asyncio.create_task(bulk.add("c"))
    await asyncio.sleep(0.1)
    leaving.cancel()
    sender.cancel()
    await asyncio.wait([sender, leaving, staying])
    assert (sender.cancelled(), leaving.cancelled()) == (True, True)
    assert staying.exception() is None
    assert database.batches == [["a"], ["c"]]

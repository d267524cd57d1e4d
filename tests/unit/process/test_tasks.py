"""Tasks that live as long as a block."""

import asyncio

import pytest

from loqua_host.tasks import background


async def test_tasks_are_cancelled_when_the_block_ends_and_have_then_ended() -> None:
    """Nothing runs on behind the block."""
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cancelled.set()

    async with background() as tasks:
        tasks.create_task(work())
        await asyncio.sleep(0)
    assert cancelled.is_set()


async def test_a_task_that_fails_ends_the_block() -> None:
    """Nobody goes on beside a part that is broken."""

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the block is what raises
        async with background() as tasks:
            tasks.create_task(fail())
            await asyncio.Event().wait()
    assert caught.value.subgroup(ValueError)


async def test_what_the_block_raises_comes_out() -> None:
    """Its tasks are cancelled all the same."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # as above
        async with background() as tasks:
            waiting = tasks.create_task(asyncio.Event().wait())
            raise ValueError("broken")
    assert caught.value.subgroup(ValueError)
    assert waiting.cancelled()


async def test_a_cancelled_block_is_cancelled() -> None:
    """The end of the block does not swallow it."""

    async def block() -> None:
        async with background() as tasks:
            tasks.create_task(asyncio.Event().wait())
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

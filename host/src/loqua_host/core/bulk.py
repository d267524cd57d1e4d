"""Batching: items of many callers in one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from loqua_host.errors import ApiError, RefusedError, UnreachableError

__all__ = ["Bulk"]

T = TypeVar("T")

_Waiting = tuple[T, asyncio.Future[None]]


class Bulk(Generic[T]):
    """Send items in batches, one batch at a time, and return each item's result to its caller.

    A batch is sent at once. Under load, the next one fills while the previous one is being sent.

    Args:
        send: Sends a batch, all of it or nothing.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._waiting: list[_Waiting[T]] = []

    async def add(self, item: T) -> None:
        """Send an item.

        Raises:
            RefusedError: If this item is refused; others of its batch are sent without it.
            UnreachableError: If it is unknown whether it was sent.
        """
        sent = asyncio.get_running_loop().create_future()
        self._waiting.append((item, sent))
        try:
            async with self._turn:
                if not sent.done():
                    batch, self._waiting = self._waiting, []
                    await self._send_batch([one for one in batch if not one[1].done()])
            await sent
        finally:
            sent.cancel()

    async def _send_batch(self, batch: Sequence[_Waiting[T]]) -> None:
        try:
            await self._send([item for item, _ in batch])
        except RefusedError as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:
                await self._send_batch([one])
        except ApiError as error:
            _fail(batch, error)
        except BaseException:
            _fail(batch, UnreachableError("sessions", "the batch was cut off", sent=True))
            raise
        else:
            for _, sent in batch:
                if not sent.done():
                    sent.set_result(None)


def _fail(batch: Sequence[_Waiting[T]], error: ApiError) -> None:
    for _, sent in batch:
        if not sent.done():
            sent.set_exception(error)
            sent.exception()  # marks it as retrieved: its caller may be gone

"""Cancellation of a hook at each of its awaits, like the host's at a hook's time limit."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import count
from types import SimpleNamespace, coroutine
from typing import Any, Final

from loqua_host.registry.loader import LoadedTutor

__all__ = ["CANCELLED_HOOKS", "CancelledLesson", "cancelled_lessons"]

CANCELLED_HOOKS: Final = ("create_agent", "on_user_ready", "on_progress_tick", "on_session_end")

MOST_AWAITS: Final = 30
"""Awaits of a hook at which it is cancelled; more would make a test slow."""


@dataclass(frozen=True, slots=True)
class CancelledLesson:
    """A lesson in which one hook was cancelled.

    Attributes:
        hook: The hook.
        number: The await at which it was cancelled, from 1.
        result: What `play` returned.
    """

    hook: str
    number: int
    result: Any


def cancelled_lessons(
    loaded: LoadedTutor, play: Callable[[LoadedTutor], Any]
) -> Iterator[CancelledLesson]:
    """Play a lesson for each await of each hook, in which the hook's first call is cancelled there.

    Args:
        loaded: The tutor.
        play: Plays a lesson with a tutor.
    """
    for hook in CANCELLED_HOOKS:
        for number in range(1, MOST_AWAITS + 1):
            cancelling = _Cancelling(loaded.manager, hook, number)
            result = play(replace(loaded, manager=cancelling))  # type: ignore[arg-type]  # callers use its hooks alone
            if not cancelling.cancelled:
                break
            yield CancelledLesson(hook, number, result)


class _Cancelling:
    """A plugin manager that cancels the first call of one hook."""

    def __init__(self, manager: Any, hook: str, number: int) -> None:
        hooks = {name: getattr(manager.hook, name) for name in CANCELLED_HOOKS}
        self.hook = SimpleNamespace(**hooks | {hook: self._call})
        self._real = hooks[hook]
        self._number = number
        self._called = False
        self.cancelled = False

    def _call(self, **arguments: Any) -> list[Any]:
        coroutines: list[Any] = self._real(**arguments)
        if self._called or not coroutines:
            return coroutines
        self._called = True
        return [self._step(coroutines[0])]

    @coroutine
    def _step(self, hook: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a hook from await to await, and cancel its task at the chosen one."""
        resume: Callable[[], Any] = lambda: hook.send(None)  # noqa: E731  # replaced below
        for number in count(1):
            try:
                awaited = resume()
            except StopIteration as done:
                return done.value
            if number == self._number and (task := asyncio.current_task()) is not None:
                self.cancelled = True
                task.cancel()
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001  # it is the hook's, of any kind
                resume = _throw_into(hook, error)
            else:
                resume = _sender(hook, sent)
        return None


def _sender(hook: Coroutine[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: hook.send(value)


def _throw_into(hook: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: hook.throw(error)

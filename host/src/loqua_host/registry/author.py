"""The origin of an error in a tutor's code, if it is there."""

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

from .overrides import is_within, packages_of

__all__ = ["Author", "Failure"]

OURS: Final = frozenset({"livekit", "loqua_host"})
"""Packages whose frames are irrelevant to an author."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that the author's code raised or did not catch.

    Attributes:
        error: The error.
        callback: The function that was called, such as `MyAgent.on_enter`.
        functions: Names of the author's functions in the traceback, outermost first.
        at: File and line of the author's code that it came from.
    """

    error: BaseException
    callback: str
    functions: tuple[str, ...]
    at: str


class Author:
    """Recognise a tutor's code by its top-level packages."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = frozenset(packages)

    def include(self, agent_class: type) -> None:
        """Add the packages of an agent's class to the author's."""
        self._packages |= packages_of(agent_class)

    def failure(self, error: BaseException) -> Failure | None:
        """Return the author's part in an error, or None if there is none."""
        own = [at for at in _steps(error.__traceback__) if self._wrote(at.tb_frame)]
        if own:
            codes = [at.tb_frame.f_code for at in own]
            names = tuple(code.co_name for code in codes)
            place = _place(own[-1].tb_frame, own[-1].tb_lineno)
            return Failure(error, codes[0].co_qualname, names, place)
        inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        causes = [one for one in (error.__cause__, *inner) if one is not None]
        return next(filter(None, map(self.failure, causes)), None)

    def cut(self, error: BaseException) -> BaseException:
        """Remove frames of LiveKit and the host from a traceback and its causes.

        The frame that raised stays.
        """
        for one in _chain(error):
            one.__traceback__ = self._cut(one.__traceback__)
        return error

    def stack(self, frame: FrameType | None) -> list[FrameType]:
        """Return a frame's stack from the author's code on, outermost first; possibly empty."""
        frames = [one for one, _ in traceback.walk_stack(frame)][::-1] if frame else []
        first = next((n for n, one in enumerate(frames) if self._wrote(one)), len(frames))
        return frames[first:]

    def waiting(self, task: "asyncio.Task[Any]") -> str:
        """Return where the author's code waits in a task, as `function at file:line`, or ''."""
        own = [frame for frame in _frames(task.get_coro()) if self._wrote(frame)]
        return f"{own[-1].f_code.co_qualname} at {_place(own[-1], own[-1].f_lineno)}" if own else ""

    def _cut(self, trace: TracebackType | None) -> TracebackType | None:
        steps = list(_steps(trace))
        first = next((n for n, at in enumerate(steps) if self._wrote(at.tb_frame)), len(steps))
        kept = [at for at in steps[first:-1] if not is_within(_module(at.tb_frame), OURS)]
        cut: TracebackType | None = None
        for at in reversed([*kept, *steps[-1:]]):
            cut = TracebackType(cut, at.tb_frame, at.tb_lasti, at.tb_lineno)
        return cut

    def _wrote(self, frame: FrameType) -> bool:
        return is_within(_module(frame), self._packages)


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine and of what it awaits, outermost first."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if isinstance(frame, FrameType):
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _place(frame: FrameType, line: int | None) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _chain(error: BaseException, seen: set[int] | None = None) -> Iterable[BaseException]:
    """Yield an error, its causes and contexts, and the members of groups."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in (error.__cause__, error.__context__, *inner):
        if one is not None:
            yield from _chain(one, seen)

"""When an engine of a list has failed, and when it is tried again; LiveKit's adapters ask here.

LiveKit leaves time limits to each engine's plugin (livekit/plugins/openai waits 30 s for an
answer), and tries an engine that failed again with each sentence.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import structlog
from livekit.agents import APIConnectionError, APITimeoutError

from loqua_host.link.messages import EngineKind

__all__ = ["ANSWER_SECONDS", "Failover", "position"]

log = structlog.get_logger()

T = TypeVar("T")

ANSWER_SECONDS: Final = 5.0
"""Until an engine that another could replace must have answered: a transcript, the first word, the
first sound. The last of a list gets the time that its plugin gives it."""

RETRY_SECONDS: Final = 10.0
"""Until an engine that failed is tried again, twice that after each further failure."""

LONGEST_RETRY_SECONDS: Final = 60.0


class Failover:
    """Which engine of a list serves, and when those that failed may be tried again.

    Args:
        kind: What the engines are for, for the log.
        indices: The index of each engine in config; those that could not be built are left out.
        clock: Seconds that only go forward.
        serves: Called with the index of the engine that serves, whenever it is another.
        first: The index of the engine to begin with: those before it fail in other lessons.

    Attributes:
        serving: The position of the engine that served last.
    """

    def __init__(
        self,
        kind: EngineKind,
        indices: Sequence[int],
        clock: Callable[[], float],
        serves: Callable[[int], None],
        *,
        first: int = 0,
    ) -> None:
        self._kind = kind
        self._indices = indices
        self._clock = clock
        self._serves = serves
        self.serving: int | None = None
        self._wait = [RETRY_SECONDS] * len(indices)
        self._retry_at = [clock() + RETRY_SECONDS if index < first else 0.0 for index in indices]

    def may_retry(self, engine: int) -> bool:
        """Return whether an engine has been left alone for long enough."""
        return self._clock() >= self._retry_at[engine]

    @property
    def well(self) -> tuple[bool, ...]:
        """Whether each engine may be asked."""
        return tuple(self.may_retry(engine) for engine in range(len(self._indices)))

    def note_answer(self, engine: int) -> None:
        """Note that an engine serves."""
        if engine != self.serving:
            self.serving = engine
            self._serves(self._indices[engine])

    def note_success(self, engine: int) -> None:
        """Trust an engine again that has served to the end."""
        self._wait[engine] = RETRY_SECONDS

    def note_failure(self, engine: int, error: Exception, *, probe: bool = False) -> None:
        """Leave an engine alone for a while, longer each time until it has served again.

        The error's text is not logged: it may quote a request and its key.
        """
        self._retry_at[engine] = self._clock() + self._wait[engine]
        self._wait[engine] = min(2 * self._wait[engine], LONGEST_RETRY_SECONDS)
        log.warning(
            "engine.failed",
            engine=f"{self._kind}[{self._indices[engine]}]",
            why=type(error).__name__,
            status=getattr(error, "status_code", None),
            probe=probe,
        )

    async def attempt(
        self, engine: int, answer: AsyncGenerator[T, None], *, pause: float, probe: bool = False
    ) -> AsyncGenerator[T, None]:
        """Yield what an engine answers, as long as it does so in time.

        Args:
            engine: Its position in the list.
            answer: What it answers, piece by piece.
            pause: Seconds between two pieces, at most.
            probe: Whether nobody waits for this answer: it shows whether the engine works again.

        Raises:
            APIError: It gave no answer, none in time, or failed as it says.
        """
        pieces = 0
        bounded = engine + 1 < len(self._indices)
        try:
            async with aclosing(answer):
                async for piece in _in_time(answer, pause) if bounded else answer:
                    pieces += 1
                    if not probe:
                        self.note_answer(engine)
                    yield piece
            if not pieces:
                raise APIConnectionError("no answer")  # noqa: TRY301  # as any other failure
        except Exception as error:
            self.note_failure(engine, error, probe=probe)
            raise
        if not probe:
            self.note_success(engine)


async def _in_time(answer: AsyncIterator[T], pause: float) -> AsyncGenerator[T, None]:
    limit = ANSWER_SECONDS
    while True:
        try:
            async with asyncio.timeout(limit):
                piece = await anext(answer)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise APITimeoutError from None
        yield piece
        limit = pause


def position(engines: Sequence[Any], engine: object) -> int:
    """Return where an engine is in a list, by identity."""
    return next(index for index, one in enumerate(engines) if one is engine)

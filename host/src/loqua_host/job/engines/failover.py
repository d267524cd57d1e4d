"""Failover between engines of a list: after a failure to the next, and later back.

LiveKit's fallback adapters leave time limits to each engine's plugin (livekit/plugins/openai waits
30 s for a response), and try a failed engine again with each sentence.
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
"""Seconds for an engine's transcript, first word or first audio, if there is a fallback. The last
engine of a list has its plugin's own limit."""

RETRY_SECONDS: Final = 10.0
"""Seconds before a failed engine is tried again; doubles after each further failure."""

LONGEST_RETRY_SECONDS: Final = 60.0


class Failover:
    """The state of a list's engines: which one serves, and when failed ones may be retried.

    Args:
        kind: The kind of the engines, for the log.
        indices: The configured index of each engine, without those that could not be built.
        clock: A monotonic clock in seconds.
        serves: Called with the index of the serving engine whenever it changes.
        first: The index of the engine to start with; those before it fail in other lessons.

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
        """Return whether an engine may be tried again."""
        return self._clock() >= self._retry_at[engine]

    @property
    def well(self) -> tuple[bool, ...]:
        """Whether each engine is available."""
        return tuple(self.may_retry(engine) for engine in range(len(self._indices)))

    def note_answer(self, engine: int) -> None:
        """Note that an engine serves."""
        if engine != self.serving:
            self.serving = engine
            self._serves(self._indices[engine])

    def note_success(self, engine: int) -> None:
        """Reset the failures of an engine that has served to the end."""
        self._wait[engine] = RETRY_SECONDS

    def note_failure(self, engine: int, error: Exception, *, probe: bool = False) -> None:
        """Suspend an engine after a failure, longer each time until it has served again.

        The error's text is not logged, because it may quote a request and its key.
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
        """Yield the chunks of an engine's response, within the time limits.

        Args:
            engine: Its position in the list.
            answer: The chunks of the response.
            pause: The maximum seconds between two chunks.
            probe: Whether this is a probe, for whose response nobody waits.

        Raises:
            APIError: If there was no response, it was too late, or the engine failed.
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
    """Return the position of an engine in a list, by identity."""
    return next(index for index, one in enumerate(engines) if one is engine)

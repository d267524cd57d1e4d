"""Data of the development API and its arrivals; in memory, for one event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from .errors import ApiRefusedError
from .learners import HeldSession, RegisteredLearner, Study
from .models import ProgressFigures

Kind = Literal["joins", "exchanges", "contexts", "progress", "sessions", "health", "refused"]

_ARRIVALS_KEPT = 20_000
_ANSWERS_KEPT = 20_000

AnswerT = TypeVar("AnswerT")


class Arrival(BaseModel):
    """A numbered arrival with its payload, never with a token; numbers start at 1."""

    model_config = ConfigDict(frozen=True)

    number: int
    kind: Kind
    received_at: datetime
    agent_id: str
    user_id: str
    payload: dict[str, Any]
    idempotency_key: str | None


class Store:
    """Learners, arrivals, and the answers given under idempotency keys."""

    def __init__(self, learners: Mapping[str, RegisteredLearner]) -> None:
        self._studies = {
            user_id: Study(learner, learner.updated_at) for user_id, learner in learners.items()
        }
        self._arrivals: deque[Arrival] = deque(maxlen=_ARRIVALS_KEPT)
        self._answers: dict[tuple[str, ...], Any] = {}
        self._arrived = asyncio.Event()
        self._count = 0

    def study(self, user_id: str) -> Study:
        """Return a learner and what arrived for it.

        Raises:
            ApiRefusedError: 404, no such learner.
        """
        if user_id not in self._studies:
            raise ApiRefusedError(
                HTTPStatus.NOT_FOUND, "USER_NOT_FOUND", f"user {user_id} is not known"
            )
        return self._studies[user_id]

    def studies(self) -> Mapping[str, Study]:
        """Return all learners, by user id."""
        return self._studies

    def register(self, user_id: str, learner: RegisteredLearner) -> None:
        """Register a learner, or reset it to this history."""
        self._studies[user_id] = Study(learner, learner.updated_at)

    def forget(self, user_id: str) -> None:
        """Remove a learner, if there is one."""
        self._studies.pop(user_id, None)

    def save_progress(
        self, user_id: str, session_id: str, figures: ProgressFigures, at: datetime
    ) -> None:
        """Replace a session's figures, which count from its start."""
        study = self.study(user_id)
        study.figures[session_id], study.updated_at = figures, at

    def save_session(self, user_id: str, session: HeldSession) -> None:
        """Add a session record to the learner's history."""
        study = self.study(user_id)
        study.sessions.append(session)
        study.updated_at = session.at

    def once(self, scope: tuple[str, ...], answer: Callable[[], AnswerT]) -> AnswerT:
        """Return the first answer in `scope`, which names endpoint, learner and key."""
        if scope not in self._answers:
            self._answers[scope] = answer()
            if len(self._answers) > _ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]
        found: AnswerT = self._answers[scope]
        return found

    def receive(
        self,
        kind: Kind,
        at: datetime,
        payload: dict[str, Any],
        *,
        agent_id: str = "",
        user_id: str = "",
        idempotency_key: str | None = None,
    ) -> None:
        """Store an arrival and wake its followers."""
        self._count += 1
        self._arrivals.append(
            Arrival(
                number=self._count,
                kind=kind,
                received_at=at,
                agent_id=agent_id,
                user_id=user_id,
                payload=payload,
                idempotency_key=idempotency_key,
            )
        )
        self._arrived.set()
        self._arrived = asyncio.Event()

    def arrivals(self, after: int = 0) -> list[Arrival]:
        """Return what arrived after the arrival of that number, oldest first."""
        return [arrival for arrival in self._arrivals if arrival.number > after]

    async def follow(self, after: int | None = None) -> AsyncIterator[Arrival]:
        """Yield what arrives from now on, or after the arrival of that number; without end."""
        seen = self._count if after is None else after
        while True:
            for arrival in self.arrivals(seen):
                seen = arrival.number
                yield arrival
            if seen >= self._count:
                await self._arrived.wait()

"""A learner's visits: registered with the dev API, which lets them into a room."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from loqua_host.dev.api.learners import RegisteredLearner
from loqua_host.dev.api.models import Identifier, JoinAnswer, PreferencesBody, Totals

__all__ = [
    "ApiUnusableError",
    "HeldLesson",
    "KnownLearner",
    "NewLearner",
    "Visit",
    "VisitRequest",
    "Visits",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Level = Literal["A1", "A2", "B1", "B2"]

LEVEL_WORDS: Final[Mapping[Level, int]] = {"A1": 0, "A2": 250, "B1": 750, "B2": 1500}
"""Words learned that suggest a level to the conversation tutor: the API has no levels."""

API_SECONDS: Final = 10.0


class ApiUnusableError(Exception):
    """The dev API cannot be used; the message is a code that the page explains."""


class NewLearner(BaseModel):
    """A learner to register, with languages as the API names them (`spanish`)."""

    model_config = _FROZEN

    name: Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]
    learning: Annotated[str, StringConstraints(pattern=r"^[a-z]{3,20}$")]
    native: Annotated[str, StringConstraints(pattern=r"^[a-z]{3,20}$")]
    level: Level


class VisitRequest(BaseModel):
    """A person's choices: a known or a new learner, a tutor, and the room when returning.

    Attributes:
        tutor: The agent name of a specialist; empty for the automatic tutor.
    """

    model_config = _FROZEN

    learner: Identifier | NewLearner
    tutor: Identifier | Literal[""] = ""
    room: Annotated[str, StringConstraints(pattern=r"^play-[0-9a-f]{12}$")] | None = None


class KnownLearner(BaseModel):
    """A learner whom the dev API knows."""

    model_config = _FROZEN

    id: str
    name: str
    learning: str
    native: str
    sessions: int


class Visit(BaseModel):
    """A learner's room and token."""

    model_config = _FROZEN

    url: str
    token: str
    room: str
    visit: str
    learner: str


class HeldLesson(BaseModel):
    """A lesson whose record the dev API has.

    Attributes:
        at: When the record arrived.
        performance: The learner's overall performance, with the API's names.
        score: The lesson's last pronunciation score, from 0 to 100; None if nothing was scored.
    """

    model_config = _FROZEN

    at: datetime
    minutes: float
    performance: str
    score: float | None


class Visits:
    """A client of the dev API with the calls that the page needs.

    Args:
        http: A client for the dev API's address.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def learners(self) -> list[KnownLearner]:
        """List the learners.

        Raises:
            ApiUnusableError: If the dev API cannot be used.
        """
        known = await self._request("GET", "/dev/learners")
        return [
            _known(user_id, RegisteredLearner.model_validate(one)) for user_id, one in known.items()
        ]

    async def begin(self, wanted: VisitRequest) -> Visit:
        """Register the learner, if new, and let them into a room.

        Raises:
            ApiUnusableError: If the dev API cannot be used, or does not know the learner.
        """
        user_id = await self._find(wanted.learner)
        room = wanted.room or f"play-{secrets.token_hex(6)}"
        body = {"user_id": user_id, "room_name": room}
        if wanted.tutor:
            body["agent_name"] = wanted.tutor
        answer = await self._request("POST", "/api/v1/rooms/join", body)
        joined = JoinAnswer.model_validate(answer)
        return Visit(
            url=joined.url,
            token=joined.token,
            room=room,
            visit=joined.session_id,
            learner=user_id,
        )

    async def records(self, user_id: str, visit: str) -> list[dict[str, Any]]:
        """Return the records of a visit's lessons as the API has them, oldest first.

        Raises:
            ApiUnusableError: If the dev API cannot be used.
        """
        arrived = await self._request("GET", "/dev/records")
        return [
            # The page knows the names of v1.
            {"new_vocabulary": one["payload"].get("vocabulary", [])} | one["payload"]
            for one in arrived["sessions"]
            if one["user_id"] == user_id and _belongs(one["payload"].get("sessionId"), visit)
        ]

    async def history(self, user_id: str) -> list[HeldLesson]:
        """Return the lessons of a learner that the API has records of, oldest first.

        Raises:
            ApiUnusableError: If the dev API cannot be used.
        """
        arrived = await self._request("GET", "/dev/records")
        scores = {
            one["payload"].get("sessionId"): one["payload"]["data"]["progress"]
            for one in arrived["progress"]
            if one["user_id"] == user_id
        }
        return [
            HeldLesson(
                at=one["received_at"],
                minutes=one["payload"]["duration_minutes"],
                performance=one["payload"]["overall_performance"],
                score=scores.get(one["payload"].get("sessionId"), {}).get("pronunciation_score"),
            )
            for one in arrived["sessions"]
            if one["user_id"] == user_id
        ]

    async def _find(self, learner: str | NewLearner) -> str:
        if isinstance(learner, str):
            return learner
        user_id = f"play_{secrets.token_hex(6)}"
        registered = RegisteredLearner(
            display_name=learner.name,
            preferences=PreferencesBody(
                language_learning=learner.learning, native_language=learner.native
            ),
            progress=Totals(words_learned=LEVEL_WORDS[learner.level]),
        )
        await self._request("PUT", f"/dev/learners/{user_id}", registered.model_dump(mode="json"))
        return user_id

    async def _request(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = await self._http.request(method, path, json=body, timeout=API_SECONDS)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                known = path.startswith("/api/")
                raise ApiUnusableError("learner_unknown" if known else "no_dev_api")
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValidationError, ValueError):
            raise ApiUnusableError("api_down") from None


def _known(user_id: str, learner: RegisteredLearner) -> KnownLearner:
    return KnownLearner(
        id=user_id,
        name=learner.display_name,
        learning=learner.preferences.language_learning,
        native=learner.preferences.native_language,
        sessions=learner.progress.total_sessions,
    )


def _belongs(session_id: object, visit: str) -> bool:
    """Return whether a session is of a visit: later lessons add their agent's name to its id."""
    return isinstance(session_id, str) and (
        session_id == visit or session_id.startswith(f"{visit}.")
    )

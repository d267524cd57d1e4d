"""The guide's requests and responses, with the field names of the wire.

Requests are strict: JSON types are not coerced, unknown fields are refused, sizes are bounded.
What the guide does not call optional is required; the one exception is `pronunciation_score`,
which a lesson without scored speech does not have.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)


def _plain(number: float) -> int | float:
    return int(number) if number % 1 == 0 else number


def _whole(number: Any) -> Any:
    """Return 5 for 5.0, which is an integer in JSON and in JSON Schema."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Number = Annotated[float, PlainSerializer(_plain)]
"""A number that is written as JavaScript writes it: 30, not 30.0."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@|+-]{1,128}$")]
"""A user, agent or agent name: safe in a path, a header and a log line."""

SessionId = Annotated[str, StringConstraints(min_length=1, max_length=600)]
RoomName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Texts = Annotated[tuple[Text, ...], Field(max_length=500, strict=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_whole)]
Score = Annotated[Number, Field(ge=0, le=100, allow_inf_nan=False)]
Minutes = Annotated[Number, Field(ge=0, le=1440, allow_inf_nan=False)]


class RequestBody(BaseModel):
    """The base of all request bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AnswerBody(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True)


class TokenRequest(RequestBody):
    """A request for a learner's JWT."""

    room_name: RoomName
    user_id: Identifier
    agent_id: Identifier


class TokenAnswer(AnswerBody):
    """A learner's encrypted JWT, and its scope; `expires_in` in seconds.

    `encryption` says how, where it is not with the shared secret.
    """

    encrypted_token: str
    encryption: str | None = Field(default=None, exclude_if=lambda value: value is None)
    user_id: str
    room_name: str
    expires_in: int
    issued_at: datetime
    issued_to: str


class ProgressFigures(RequestBody):
    """A session's figures since it began; the score is 0 to 100."""

    words_learned: Count
    phrases_practiced: Count
    pronunciation_score: Score | None = None
    grammar_points: Texts


class ProgressData(RequestBody):
    """A session's status and figures."""

    status: Literal["in_progress", "completed", "failed"]
    progress: ProgressFigures


class ProgressUpdate(RequestBody):
    """Progress within a session, or within the room if no session is named."""

    user_id: Identifier = Field(alias="userId")
    session_id: SessionId | None = Field(default=None, alias="sessionId")
    data: ProgressData


class ProgressAnswer(AnswerBody):
    """The updated fields, the learner and the agent."""

    success: Literal[True] = True
    message: Literal["Progress updated successfully"] = "Progress updated successfully"
    user_id: str = Field(serialization_alias="userId")
    session_id: str = Field(serialization_alias="sessionId")
    agent_id: str = Field(serialization_alias="agentId")
    timestamp: datetime


class WordBody(RequestBody):
    """A new word, its translation, and its language."""

    word: Text
    translation: Text
    language: Text


Words = Annotated[tuple[WordBody, ...], Field(max_length=500, strict=False)]


class AnySessionRecord(RequestBody):
    """The common fields of a session record in all versions."""

    user_id: Identifier = Field(alias="userId")
    session_id: SessionId | None = Field(default=None, alias="sessionId")
    duration_minutes: Minutes
    topics_covered: Texts
    grammar_points: Texts
    pronunciation_practice_count: Count
    overall_performance: Literal["excellent", "good", "fair", "needs_improvement"]
    achievements: Texts
    next_session_recommendations: Texts

    @property
    def words(self) -> int:
        """The number of new words."""
        raise NotImplementedError


class SessionRecordBody(AnySessionRecord):
    """The record of one learning session."""

    new_vocabulary: Words

    @property
    def words(self) -> int:
        """The number of new words."""
        return len(self.new_vocabulary)


class SessionRecordBodyV2(AnySessionRecord):
    """The record in v2: `new_vocabulary` is `vocabulary`, and `started_at` is new."""

    vocabulary: Words
    started_at: Annotated[AwareDatetime, Field(strict=False)] | None = None

    @property
    def words(self) -> int:
        """The number of new words."""
        return len(self.vocabulary)


class SessionAnswer(AnswerBody):
    """The id under which the session is held."""

    success: Literal[True] = True
    session_id: str
    created_at: datetime
    created_by: Literal["agent"] = "agent"
    agent_id: str


class PreferencesBody(AnswerBody):
    """The learner's preferences; the session length in minutes, None if unknown.

    `replay_consent` is this host's addition to the guide, and left out while it is None.
    """

    language_learning: str | None = "spanish"
    native_language: str | None = "english"
    learning_pace: Literal["slow", "moderate", "fast"] | None = "moderate"
    focus_areas: tuple[str, ...] = ("vocabulary",)
    session_length_preference: Annotated[Number, Field(ge=0, le=1440)] | None = 30
    replay_consent: bool | None = Field(default=None, exclude_if=lambda it: it is None)


class Totals(AnswerBody):
    """A learner's progress over all sessions; times in minutes, the streak in days."""

    total_sessions: int = 0
    total_conversation_time: Number = 0
    words_learned: int = 0
    phrases_practiced: int = 0
    pronunciation_score_avg: Number | None = 0
    grammar_points_covered: tuple[str, ...] = ()
    achievements_unlocked: tuple[str, ...] = ()
    last_session_date: datetime | None = None
    current_streak: int = 0


class SessionSummary(AnswerBody):
    """A past session as the context lists it."""

    session_id: str
    date: datetime | None
    duration_minutes: Number
    topics_covered: tuple[str, ...]


class AccessBody(AnswerBody):
    """The agent that read a context, and the time."""

    agent_id: str
    timestamp: datetime


class Context(AnswerBody):
    """The context of a learner for an agent; the newest session of the history first."""

    user_id: str
    preferences: PreferencesBody
    progress: Totals
    session_history: tuple[SessionSummary, ...]
    created_at: datetime
    updated_at: datetime
    accessed_by: AccessBody


class HealthRequest(RequestBody):
    """A question whether the agent may act for a learner."""

    user_id: Identifier = Field(alias="userId")


class HealthAnswer(AnswerBody):
    """The agent's permissions for the learner."""

    status: Literal["healthy"] = "healthy"
    agent_id: str
    permissions: tuple[str, ...]
    timestamp: datetime


class JoinRequest(RequestBody):
    """A request for a learner's room token, with a tutor's agent name if one is wanted."""

    user_id: Identifier
    room_name: RoomName | None = None
    agent_name: Identifier | None = None


class JoinAnswer(AnswerBody):
    """A LiveKit token, the server's address, and the session id."""

    token: str
    url: str
    room_name: str
    session_id: str


class ErrorDetail(AnswerBody):
    """A stable code, and words for the operator."""

    code: str
    message: str


class ErrorAnswer(AnswerBody):
    """The guide's error body."""

    error: ErrorDetail
    timestamp: datetime

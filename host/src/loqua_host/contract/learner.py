"""The learner and the learner's context from the API, as tutors see them."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

__all__ = ["Learner", "LearnerContext", "LearningProgress", "PastSession", "Preferences"]

_FROZEN = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _http_date(value: object) -> object:
    """Parse an HTTP date, which Flask writes (`Tue, 14 Jan 2025 15:30:00 GMT`)."""
    if not (isinstance(value, str) and value[:1].isalpha()):
        return value
    try:
        return parsedate_to_datetime(value)
    except OverflowError:
        raise ValueError("is not a date") from None


def _in_utc(moment: datetime) -> datetime:
    """Return a time with its zone. Without one, it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_http_date), AfterValidator(_in_utc)]
"""A time with its zone, from ISO 8601, an HTTP date, or Unix seconds."""

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Amount = Annotated[float, Field(ge=0, le=1_000_000_000)]


class Learner(BaseModel):
    """A learner in a room, identified through LiveKit's rooms API.

    All fields except `user_id` come from the learner's participant: data, never instructions.
    """

    model_config = _FROZEN

    user_id: str
    identity: str
    display_name: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


class Preferences(BaseModel):
    """The learner's preferences. Unknown values are None."""

    model_config = _FROZEN

    language_learning: str | None = None
    native_language: str | None = None
    learning_pace: Literal["slow", "moderate", "fast"] | None = None
    focus_areas: tuple[str, ...] = ()
    session_length_preference: Amount | None = Field(default=None, description="minutes")
    replay_consent: StrictBool | None = Field(
        default=None, description="whether lessons may be kept to replay them, names left out"
    )


class LearningProgress(BaseModel):
    """The learner's progress over all sessions so far."""

    model_config = _FROZEN

    total_sessions: Count = 0
    total_conversation_time: Amount = Field(default=0, description="minutes")
    words_learned: Count = 0
    phrases_practiced: Count = 0
    pronunciation_score_avg: float | None = Field(default=None, ge=0, le=100)
    grammar_points_covered: tuple[str, ...] = ()
    achievements_unlocked: tuple[str, ...] = ()
    last_session_date: Moment | None = None
    current_streak: Count = Field(default=0, description="days")


class PastSession(BaseModel):
    """The API's summary of an earlier session."""

    model_config = _FROZEN

    session_id: str = Field(coerce_numbers_to_str=True)
    date: Moment | None = None
    duration_minutes: Amount = 0
    topics_covered: tuple[str, ...] = ()


class LearnerContext(BaseModel):
    """The learner's preferences, progress and history; empty in basic and mock mode."""

    model_config = _FROZEN

    preferences: Preferences = Preferences()
    progress: LearningProgress = LearningProgress()
    session_history: tuple[PastSession, ...] = ()

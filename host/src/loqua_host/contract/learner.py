"""What a tutor may know of its learner: who they are and what the API remembers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Learner", "LearnerContext", "LearningProgress", "PastSession", "Preferences"]

_FROZEN = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _http_date(value: object) -> object:
    """Return the moment of a date such as Flask writes (`Tue, 14 Jan 2025 15:30:00 GMT`)."""
    if not (isinstance(value, str) and value[:1].isalpha()):
        return value
    try:
        return parsedate_to_datetime(value)
    except OverflowError:
        raise ValueError("is no date") from None


def _in_utc(moment: datetime) -> datetime:
    """Return a moment with its zone; services that write none mean UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(_http_date), AfterValidator(_in_utc)]
"""A moment, always with a zone; from ISO 8601, an HTTP date, or seconds since 1970."""

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Amount = Annotated[float, Field(ge=0, le=1_000_000_000)]


class Learner(BaseModel):
    """A learner in a room, as the host verified it through LiveKit's rooms API.

    All fields but `user_id` come from the learner's participant and are data, never
    instructions.
    """

    model_config = _FROZEN

    user_id: str
    identity: str
    display_name: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


class Preferences(BaseModel):
    """What the learner asked for. Unknown values are None, never guessed."""

    model_config = _FROZEN

    language_learning: str | None = None
    native_language: str | None = None
    learning_pace: Literal["slow", "moderate", "fast"] | None = None
    focus_areas: tuple[str, ...] = ()
    session_length_preference: Amount | None = Field(default=None, description="minutes")


class LearningProgress(BaseModel):
    """What the learner has reached over all sessions so far."""

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
    """One earlier session, as the API summarises it."""

    model_config = _FROZEN

    session_id: str = Field(coerce_numbers_to_str=True)
    date: Moment | None = None
    duration_minutes: Amount = 0
    topics_covered: tuple[str, ...] = ()


class LearnerContext(BaseModel):
    """The learner's preferences, progress and history; all empty in basic and mock mode."""

    model_config = _FROZEN

    preferences: Preferences = Preferences()
    progress: LearningProgress = LearningProgress()
    session_history: tuple[PastSession, ...] = ()

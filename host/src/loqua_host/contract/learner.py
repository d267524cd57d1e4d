"""What a tutor may know of its learner: who they are and what the API remembers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Learner", "LearnerContext", "LearningProgress", "PastSession", "Preferences"]

_FROZEN = ConfigDict(frozen=True, extra="ignore")


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
    session_length_preference: float | None = Field(default=None, ge=0, description="minutes")


class LearningProgress(BaseModel):
    """What the learner has reached over all sessions so far."""

    model_config = _FROZEN

    total_sessions: int = 0
    total_conversation_time: float = Field(default=0, description="minutes")
    words_learned: int = 0
    phrases_practiced: int = 0
    pronunciation_score_avg: float | None = None
    grammar_points_covered: tuple[str, ...] = ()
    achievements_unlocked: tuple[str, ...] = ()
    last_session_date: datetime | None = None
    current_streak: int = Field(default=0, description="days")


class PastSession(BaseModel):
    """One earlier session, as the API summarises it."""

    model_config = _FROZEN

    session_id: str
    date: datetime | None = None
    duration_minutes: float = 0
    topics_covered: tuple[str, ...] = ()


class LearnerContext(BaseModel):
    """The learner's preferences, progress and history; all empty in basic and mock mode."""

    model_config = _FROZEN

    preferences: Preferences = Preferences()
    progress: LearningProgress = LearningProgress()
    session_history: tuple[PastSession, ...] = ()

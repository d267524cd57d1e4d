"""Progress during a lesson, the report at its end, and the record for the API."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = [
    "Ending",
    "LessonReport",
    "Mode",
    "Performance",
    "Progress",
    "SessionRecord",
    "Tick",
    "Word",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

Label = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
"""A short non-empty text, such as a topic or a grammar point."""

LONGEST_SESSION_ID = 600
"""Maximum characters of a session id in the API."""

SessionId = Annotated[
    str,
    StringConstraints(
        # No control characters, line separators, or marks that change the direction of text.
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$",
        max_length=LONGEST_SESSION_ID,
    ),
]
"""A lesson's session id in the API: one line of text, sent unchanged, with surrounding spaces."""

Reason = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
"""Why something is in a report, in one sentence."""

Labels = Annotated[tuple[Label, ...], Field(max_length=100)]


class Mode(StrEnum):
    """The availability of the Loqua API to a lesson, best first."""

    FULL = "full"
    CACHE = "cache"
    BASIC = "basic"
    MOCK = "mock"


class Performance(StrEnum):
    """The learner's overall performance, with the API's names."""

    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    NEEDS_IMPROVEMENT = "needs_improvement"


class Progress(BaseModel):
    """The learner's progress since the start of the lesson. Counts never decrease.

    Attributes:
        words_learned: New words that the learner used or was taught.
        phrases_practiced: Phrases or exercises that the learner tried.
        pronunciation_score: 0 to 100, or None while nothing has been scored.
        grammar_points: Grammar topics so far, with the API's names (`present_tense`).
    """

    model_config = _FROZEN

    words_learned: int = Field(default=0, ge=0, le=100_000)
    phrases_practiced: int = Field(default=0, ge=0, le=100_000)
    pronunciation_score: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    grammar_points: Labels = ()


class Word(BaseModel):
    """A new word for the learner, in `language` (ISO 639-1), with its translation."""

    model_config = _FROZEN

    word: Label
    translation: Label
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]


class LessonReport(BaseModel):
    """A tutor's report of a lesson. The host adds identity, duration and derived values.

    Attributes:
        progress: The final progress; if None, the last tick's.
        performance: If None, the host derives it from the progress.
        recommendations: Suggestions for the next session, most useful first.
        reasons: Why each achievement and recommendation is in the report, by its text. They may
            quote the learner: `loqua-host records explain` shows them, the API does not get them,
            and they are not logged.
    """

    model_config = _FROZEN

    progress: Progress | None = None
    topics_covered: Labels = ()
    new_vocabulary: Annotated[tuple[Word, ...], Field(max_length=500)] = ()
    grammar_points: Labels = ()
    pronunciation_practice_count: int = Field(default=0, ge=0, le=100_000)
    performance: Performance | None = None
    achievements: Labels = ()
    recommendations: Labels = ()
    reasons: Annotated[Mapping[Label, Reason], Field(max_length=200)] = {}


class SessionRecord(BaseModel):
    """The record of one lesson, sent to the API at its end.

    Attributes:
        session_id: The lesson's session id in the API.
        duration_minutes: Minutes taught, at most a day; sent as an integer if it is one.
    """

    model_config = _FROZEN

    session_id: SessionId
    duration_minutes: float = Field(ge=0, le=1440, allow_inf_nan=False)
    topics_covered: Labels = ()
    new_vocabulary: Annotated[tuple[Word, ...], Field(max_length=500)] = ()
    grammar_points: Labels = ()
    pronunciation_practice_count: int = Field(default=0, ge=0, le=100_000)
    overall_performance: Performance
    achievements: Labels = ()
    next_session_recommendations: Labels = ()


class Tick(BaseModel):
    """One progress tick: its number, from 1, and the seconds taught so far."""

    model_config = _FROZEN

    number: int
    seconds: float


class Ending(BaseModel):
    """The end of a lesson: a stable reason such as `learner_left`, and the seconds taught."""

    model_config = _FROZEN

    reason: str
    seconds: float = Field(ge=0, allow_inf_nan=False)

    @property
    def reason_shown(self) -> str:
        """The reason for logs: if it is not a name, it may be what somebody said."""
        return self.reason if re.fullmatch(r"[\w.:-]{1,64}", self.reason) else "unnamed"

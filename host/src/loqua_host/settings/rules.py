"""The section `records:` of config/host.yaml: rules for values that the host adds to records."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from loqua_host.contract.records import Label

from .section import Section

__all__ = ["AchievementRule", "Bounds", "Grades", "RecommendationRule", "RecordRules"]


class Bounds(Section):
    """Bounds on values of a lesson and its learner. An unknown value is never within bounds.

    Totals include this lesson.
    """

    minutes: float | None = Field(default=None, description="minutes of the lesson")
    words_learned: float | None = Field(default=None, description="words in the lesson")
    phrases_practiced: float | None = Field(default=None, description="phrases in the lesson")
    grammar_points: float | None = Field(default=None, description="grammar points in the lesson")
    pronunciation_score: float | None = Field(default=None, description="the lesson's, 0 to 100")
    minutes_total: float | None = Field(default=None, description="minutes of all sessions")
    words_learned_total: float | None = Field(default=None, description="words of all sessions")
    phrases_practiced_total: float | None = Field(
        default=None, description="phrases of all sessions"
    )
    grammar_points_total: float | None = Field(
        default=None, description="different grammar points of all sessions"
    )
    sessions_total: float | None = Field(default=None, description="all sessions")
    first_session: float | None = Field(
        default=None, description="1 in the learner's first session, 0 in others"
    )
    streak_days: float | None = Field(
        default=None, description="consecutive days with a session, when the lesson began"
    )

    def given(self) -> dict[str, float]:
        """Return the bounds that are set."""
        return self.model_dump(exclude_none=True)


def _is_bound(bounds: Bounds) -> Bounds:
    if not bounds.given():
        raise ValueError("is always true: write a bound")
    return bounds


_SomeBounds = Annotated[Bounds, AfterValidator(_is_bound)]


class AchievementRule(Section):
    """An achievement, unlocked once."""

    name: Label = Field(description="the achievement's name in the API, such as first_conversation")
    when: _SomeBounds = Field(description="a section with minimum values, all of which must hold")


class RecommendationRule(Section):
    """A recommendation for the next session, added after the tutor's own."""

    say: Label = Field(description="the sentence that the learner sees")
    below: _SomeBounds = Field(
        description="a section with upper bounds, exclusive, all of which must hold"
    )


class Grades(Section):
    """The minimum pronunciation score of each grade."""

    excellent: float = Field(default=85, ge=0, le=100, description="the minimum score, 0 to 100")
    good: float = Field(default=70, ge=0, le=100, description="the minimum score, 0 to 100")
    fair: float = Field(default=50, ge=0, le=100, description="the minimum score, 0 to 100")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.fair <= self.good <= self.excellent:
            raise ValueError("write scores so that fair <= good <= excellent")
        return self


class RecordRules(Section):
    """All rules for records."""

    grades: Grades = Field(default=Grades(), description="performance by pronunciation score")
    achievements: tuple[AchievementRule, ...] = Field(
        default=(), description="achievements, each with name: and when:"
    )
    recommendations: tuple[RecommendationRule, ...] = Field(
        default=(), description="recommendations, each with say: and below:"
    )
    completed_when: Bounds = Field(
        default=Bounds(),
        description="minimum values with which an interrupted lesson counts as completed; without "
        "any, it counts as failed",
    )

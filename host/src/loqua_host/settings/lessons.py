"""The section `lessons:` of config/host.yaml."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, ValidationError, WrapValidator

from .hooks import HookLimits
from .section import Section

__all__ = ["AudioInput", "LessonLimits", "LessonSettings"]

MOST_LESSONS = 10_000


def _auto_or(written: object, validate: Callable[[object], "MaxLessons"]) -> "MaxLessons":
    """Return a bound of lessons; a wrong one is one mistake, not one for each kind."""
    try:
        return validate(written)
    except ValidationError:
        raise ValueError(f"should be auto or an integer from 1 to {MOST_LESSONS}") from None


MaxLessons = Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_LESSONS)]
"""How many lessons run at the same time: a number, or what the machine carries."""


AudioInput = Literal["learner", "all"]
"""Whose speech and chat a tutor gets: its own learner's, or every identified learner's."""


class LessonLimits(Section):
    """How long a lesson and its parts may take: what its job follows."""

    learner_timeout: float = Field(
        default=45, ge=30, le=60, description="seconds to wait for a learner, 30 to 60"
    )
    tick_every: float = Field(
        default=30, gt=0, le=600, description="seconds between progress ticks, up to 600"
    )
    failing_ticks: int = Field(
        default=3, ge=1, le=100, description="failed ticks in a row before ticks stop, 1 to 100"
    )
    reconnect_timeout: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="seconds that a lesson waits for a learner who left, up to 3600; without a "
        "place where others wait for one",
    )
    silence_prompt_after: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="seconds of silence until the learner is asked, up to 3600",
    )
    silence_timeout: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="seconds of silence after that until the lesson ends, up to 3600",
    )
    max_duration: float = Field(
        default=7200, gt=0, le=86_400, description="seconds that no lesson exceeds, up to 86400"
    )
    limits: HookLimits = Field(default=HookLimits(), description="seconds each hook may take")


class LessonSettings(LessonLimits):
    """How lessons run: what their jobs follow, and what the host does."""

    health_every: float = Field(
        default=300, gt=0, le=3600, description="seconds between API health checks, up to 3600"
    )
    drain_timeout: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="seconds that lessons go on for after SIGTERM; they say goodbye before the end",
    )
    tutor_drain_timeout: float = Field(
        default=3600,
        ge=0,
        le=86_400,
        description="the same for lessons whose tutor is changed or disabled in a running host",
    )
    max_lessons: Annotated[MaxLessons, WrapValidator(_auto_or)] = Field(
        default="auto",
        description="lessons at the same time in this host; auto for as many as its processors "
        "and its memory carry in real time",
    )

    @property
    def in_jobs(self) -> LessonLimits:
        """What jobs follow of it: no worker is replaced because of the rest."""
        return LessonLimits(**{name: getattr(self, name) for name in LessonLimits.model_fields})

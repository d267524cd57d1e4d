"""The section `lessons:` of config/host.yaml."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, ValidationError, WrapValidator

from .hooks import HookLimits
from .section import Section

__all__ = ["AudioInput", "LessonLimits", "LessonSettings"]

MOST_LESSONS = 10_000


def _auto_or(written: object, validate: Callable[[object], "MaxLessons"]) -> "MaxLessons":
    """Validate `max_lessons`, with one error instead of one for each type of the union."""
    try:
        return validate(written)
    except ValidationError:
        raise ValueError(f"should be auto or an integer from 1 to {MOST_LESSONS}") from None


MaxLessons = Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_LESSONS)]
"""The maximum of concurrent lessons: a number, or `auto` for what the machine can run."""


AudioInput = Literal["learner", "all"]
"""Whose audio and chat a tutor receives: its own learner's, or every identified learner's."""


class LessonLimits(Section):
    """The settings in `lessons:` that jobs follow."""

    learner_timeout: float = Field(
        default=45, ge=30, le=60, description="seconds to wait for a learner, 30 to 60"
    )
    tick_every: float = Field(
        default=30, gt=0, le=600, description="seconds between progress ticks, up to 600"
    )
    failing_ticks: int = Field(
        default=3,
        ge=1,
        le=100,
        description="consecutive failed ticks before ticks stop, and consecutive failed turns of "
        "the agent before the lesson ends, 1 to 100",
    )
    reconnect_timeout: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="seconds that a lesson waits for a learner who left, up to 3600",
    )
    silence_prompt_after: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="seconds of silence before the learner is asked, up to 3600",
    )
    silence_timeout: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="seconds of further silence before the lesson ends, up to 3600",
    )
    max_duration: float = Field(
        default=7200, gt=0, le=86_400, description="the maximum duration in seconds, up to 86400"
    )
    timeline: bool = Field(
        default=False,
        description="true to let `loqua-host timeline` show what is said and how long it took, "
        "in development only, or false",
    )
    limits: HookLimits = Field(default=HookLimits(), description="time limit of each hook")


class LessonSettings(LessonLimits):
    """All settings in `lessons:`, for jobs and for the host."""

    health_every: float = Field(
        default=300, gt=0, le=3600, description="seconds between API health checks, up to 3600"
    )
    drain_timeout: float = Field(
        default=600,
        ge=0,
        le=86_400,
        description="seconds that lessons continue after SIGTERM, goodbye included, up to 86400",
    )
    tutor_drain_timeout: float = Field(
        default=3600,
        ge=0,
        le=86_400,
        description="seconds that lessons continue after their tutor was changed or disabled, "
        "up to 86400",
    )
    max_lessons: Annotated[MaxLessons, WrapValidator(_auto_or)] = Field(
        default="auto",
        description="the maximum of concurrent lessons; auto for as many as this machine "
        "can run in real time",
    )

    @property
    def in_jobs(self) -> LessonLimits:
        """The part that jobs follow. Only its changes replace workers."""
        return LessonLimits(**{name: getattr(self, name) for name in LessonLimits.model_fields})

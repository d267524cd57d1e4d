"""The tutor's settings."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """The section `settings:` of config/tutors/sample.yaml; a mistake stops the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: tuple[str, ...] = Field(
        default=("What is your name?", "Where do you live?", "What do you like to do?"),
        min_length=1,
        description="what the tutor asks, one question after another",
    )
    goodbye: str = Field(default="Thank you. Goodbye!", description="what it says at the end")

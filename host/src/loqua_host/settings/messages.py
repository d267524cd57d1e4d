"""The section `messages:`: the host's messages to learners, by language."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["Message", "Messages", "message_in"]


def _has_english(message: dict[str, str]) -> dict[str, str]:
    if "en" not in message:
        raise ValueError("has no English text, which is used for all other languages")
    return message


Message = Annotated[dict[str, str], AfterValidator(_has_english)]
"""A text by ISO 639-1 language, at least in English."""

_TEXT = "a text by ISO 639-1 language, at least en, "


class Messages(BaseModel):
    """The host's messages to learners, in the tutor's voice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lesson_unavailable: Message = Field(
        default={
            "en": "I am sorry, I cannot give this lesson now. Please try again in a few minutes."
        },
        description=f"{_TEXT}said when a lesson cannot start or continue",
    )
    still_there: Message = Field(
        default={"en": "Are you still there?"},
        description=f"{_TEXT}asked of a silent learner",
    )
    went_wrong: Message = Field(
        default={"en": "Sorry, something went wrong. Could you say that again?"},
        description=f"{_TEXT}said when the tutor's code fails and the learner would hear nothing",
    )
    time_is_up: Message = Field(
        default={"en": "Our time is up for today. Goodbye, and see you soon!"},
        description=f"{_TEXT}said when the lesson's time is over",
    )
    tutors_busy: Message | None = Field(
        default=None,
        description=f"{_TEXT}said after a tone when capacity is exhausted, or null for the tone "
        "alone",
    )
    specialist_joins: Message = Field(
        default={"en": "One moment, please. A specialist goes on with you now."},
        description=f"{_TEXT}said before a specialist takes over",
    )


def message_in(language: str, message: Mapping[str, str]) -> str:
    """Return a message in this language, or else in English."""
    return message.get(language, message["en"])

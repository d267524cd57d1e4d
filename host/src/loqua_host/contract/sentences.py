"""What the host has tutors say, by the language of the lesson."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["Sentence", "Sentences", "sentence_in"]


def _has_english(sentence: dict[str, str]) -> dict[str, str]:
    if "en" not in sentence:
        raise ValueError("has no English sentence, the one for all other languages")
    return sentence


Sentence = Annotated[dict[str, str], AfterValidator(_has_english)]
"""One sentence by ISO 639-1 language, in English at least."""


class Sentences(BaseModel):
    """What lessons have to say apart from what they teach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    still_there: Sentence = Field(
        default={"en": "Are you still there?"},
        description="a sentence by ISO 639-1 language, en at least, asked of a silent learner",
    )
    went_wrong: Sentence = Field(
        default={"en": "Sorry, something went wrong. Could you say that again?"},
        description="a sentence by ISO 639-1 language, en at least, said after a failure of the "
        "tutor that would leave the learner in silence",
    )
    time_is_up: Sentence = Field(
        default={"en": "Our time is up for today. Goodbye, and see you soon!"},
        description="a sentence by ISO 639-1 language, en at least, said when time is up",
    )
    tutor_comes: Sentence | None = Field(
        default=None,
        description="a sentence by ISO 639-1 language, en at least, said after a tone when "
        "every place is taken, or null for the tone alone",
    )
    specialist_comes: Sentence = Field(
        default={"en": "One moment, please. A specialist goes on with you now."},
        description="a sentence by ISO 639-1 language, en at least, said before a specialist comes",
    )


def sentence_in(language: str, sentence: Mapping[str, str]) -> str:
    """Get a sentence in this language, or in English."""
    return sentence.get(language, sentence["en"])

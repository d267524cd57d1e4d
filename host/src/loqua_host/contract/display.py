"""Data of a lesson that a page shows the learner: values, topics, messages (see TOPICS.md)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .records import Ending, LessonReport, Progress

__all__ = [
    "TOPIC_BODIES",
    "Correction",
    "DueTopics",
    "LessonMessage",
    "LessonOutcome",
    "LessonTopic",
    "PronunciationScore",
    "ScoredSound",
    "ScoredWord",
    "ShownValue",
    "compose_message",
    "parse_message",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

VERSION: Final = 1
"""The version of the messages. It changes when a reader of the earlier one would be wrong."""

Line = Annotated[str, StringConstraints(max_length=2000)]
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
WordError = Literal["None", "Mispronunciation", "Omission", "Insertion"]


class LessonTopic(StrEnum):
    """The topics of the text streams that the host sends to a lesson's learner."""

    CORRECTION = "loqua.correction"
    PRONUNCIATION = "loqua.pronunciation"
    DUE = "loqua.due"
    PROGRESS = "loqua.progress"
    OUTCOME = "loqua.outcome"


class Correction(BaseModel):
    """A mistake in an utterance of the learner, and what to say instead.

    Attributes:
        text: The utterance, as it was recognised or typed.
        start: Where the wrong part begins in it, in Unicode code points.
        end: Where it ends, exclusive. Equal to `start` where something is missing.
        corrected: What to say instead of that part; empty to leave it out.
        rule: The grammar topic, with the API's names (`present_tense`).
        message: Why, for the learner to read; may be empty.
    """

    model_config = _FROZEN

    text: Line
    start: int = Field(ge=0)
    end: int
    corrected: Line
    rule: Line = ""
    message: Line = ""

    @model_validator(mode="after")
    def _check_span(self) -> Self:
        if not self.start <= self.end <= len(self.text):
            raise ValueError("start and end must be in the text, start first")
        return self


class ScoredSound(BaseModel):
    """A sound of a word, in IPA, with its score from 0 to 100.

    Attributes:
        sound: The sound that was to be said.
        score: How well it was said.
        start: When it begins, in seconds since the recording began.
        end: When it ends.
        heard: The sound that was said instead; None if it was right, or has no name.
    """

    model_config = _FROZEN

    sound: Line
    score: Percent
    start: Seconds
    end: Seconds
    heard: Line | None = None


class ScoredWord(BaseModel):
    """A word of an exercise; the score of one that was left out or added is None.

    Attributes:
        word: The word; of one that was added, its sounds in IPA.
        score: How well it was said, from 0 to 100.
        start: When it begins, in seconds since the recording began.
        end: When it ends.
        error: What is wrong with it, in Azure's words.
        sounds: Its sounds, in order.
    """

    model_config = _FROZEN

    word: Line
    score: Percent | None
    start: Seconds
    end: Seconds
    error: WordError = "None"
    sounds: Annotated[tuple[ScoredSound, ...], Field(max_length=100)] = ()


class PronunciationScore(BaseModel):
    """The scores of a sentence that the learner said.

    Attributes:
        text: The sentence that was to be said.
        score: From 0 to 100.
        words: Its words, in order.
    """

    model_config = _FROZEN

    text: Line
    score: Percent
    words: Annotated[tuple[ScoredWord, ...], Field(max_length=300)] = ()


class DueTopics(BaseModel):
    """Topics that are due for review. Each message replaces the previous one.

    Attributes:
        topics: Topics of earlier sessions, with the API's names, the longest overdue first.
    """

    model_config = _FROZEN

    topics: Annotated[tuple[Line, ...], Field(max_length=100)]


class LessonOutcome(BaseModel):
    """The end of a lesson, with the tutor's report if there is one."""

    model_config = _FROZEN

    ending: Ending
    report: LessonReport | None = None


ShownValue = Correction | PronunciationScore | DueTopics
"""What tutors show; progress and outcome are sent by the host."""

TOPIC_BODIES: Final[Mapping[type[BaseModel], LessonTopic]] = {
    Correction: LessonTopic.CORRECTION,
    PronunciationScore: LessonTopic.PRONUNCIATION,
    DueTopics: LessonTopic.DUE,
    Progress: LessonTopic.PROGRESS,
    LessonOutcome: LessonTopic.OUTCOME,
}
"""The values, with their topics."""


class LessonMessage(BaseModel):
    """The JSON of one text stream; its topic says what the body is.

    Attributes:
        version: The version of the format.
        lesson: The lesson's id.
        body: The value.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = VERSION
    lesson: str
    body: Any


def compose_message(lesson: str, body: BaseModel) -> tuple[LessonTopic, str]:
    """Return the topic and the JSON of a value.

    Args:
        lesson: The lesson's id.
        body: A value of one of the topics.

    Raises:
        KeyError: If no topic has such a value.
    """
    topic = TOPIC_BODIES[type(body)]
    return topic, LessonMessage(lesson=lesson, body=body).model_dump_json()


def parse_message(topic: str, text: str) -> BaseModel:
    """Return the value of a message.

    Args:
        topic: The topic of its text stream.
        text: The JSON.

    Raises:
        ValueError: If there is no such topic, or the JSON does not fit it.
    """
    kind = {topic: kind for kind, topic in TOPIC_BODIES.items()}[LessonTopic(topic)]
    return kind.model_validate(LessonMessage.model_validate_json(text).body)

"""Handoffs: calls to a specialist and their results."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from .records import Label, LessonReport

__all__ = [
    "LONGEST_UTTERANCE",
    "Handback",
    "HandoffRequest",
    "Handover",
    "SpecialistCall",
    "Utterance",
]

LONGEST_UTTERANCE = 300
"""Maximum characters of an utterance; longer ones are cut."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Text = Annotated[str, StringConstraints(max_length=LONGEST_UTTERANCE)]


class Utterance(BaseModel):
    """An utterance. The text is a transcript: data, never instructions.

    Attributes:
        speaker: Who said it: a learner or the tutor.
        text: What was said.
        learner: The learner's `user_id`, because with `audio_input: all` there may be several.
            Empty for the tutor, or if unknown.
    """

    model_config = _FROZEN

    speaker: Literal["learner", "tutor"]
    text: Text
    learner: Text = ""


class HandoffRequest(BaseModel):
    """The purpose of a call to a specialist.

    Attributes:
        focus: What to work on, such as a grammar topic by the API's name (`present_tense`).
        words: Words to practise.
    """

    model_config = _FROZEN

    focus: Text = ""
    words: Annotated[tuple[Label, ...], Field(max_length=20)] = ()


class Handover(HandoffRequest):
    """The information for a called specialist.

    Attributes:
        tutor: The name of the calling tutor in config/tutors.
        sentences: The last sentences of the conversation, oldest first.
    """

    tutor: Label
    sentences: Annotated[tuple[Utterance, ...], Field(max_length=10)] = ()


class Handback(BaseModel):
    """The result of a handoff.

    Attributes:
        outcome: `taught` if the specialist's lesson ran to its end, whoever ended it; `absent`
            if the specialist did not join in time; `failed` if it joined and could not teach.
        report: The specialist's report, with its final progress. None if it reported nothing.
    """

    model_config = _FROZEN

    outcome: Literal["taught", "absent", "failed"]
    report: LessonReport | None = None


@dataclass(frozen=True, slots=True)
class SpecialistCall:
    """A tutor's call to a specialist, and the future of its result."""

    agent_name: str
    request: HandoffRequest
    answer: "asyncio.Future[Handback]"

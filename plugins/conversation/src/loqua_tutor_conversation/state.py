"""The state of a conversation as JSON, from which another process can resume it."""

from typing import Literal

from pydantic import BaseModel, Field

from .toml_data import FROZEN
from .triggers import HelpRequest, Mistake

__all__ = [
    "MAX_CORRECTIONS",
    "ConversationState",
    "NumberedMistake",
    "OpenQuestion",
    "RecordedWord",
    "SkillEvidence",
]

MAX_CORRECTIONS = 40
"""Corrections that are kept, the latest ones, because a lesson's state is limited in size; also
recorded words."""


class SkillEvidence(BaseModel):
    """A skill that the learner showed, and the number of the utterance."""

    model_config = FROZEN

    what: str
    utterance: int


class NumberedMistake(Mistake):
    """A mistake, as the utterance has it, and the number of the utterance."""

    utterance: int


class RecordedWord(BaseModel):
    """A word that no scenario has, with its translation and the number of its utterance."""

    model_config = FROZEN

    word: str
    translation: str
    utterance: int


class OpenQuestion(BaseModel):
    """A yes-or-no question of the tutor that is not a turn of the scenario.

    Attributes:
        kind: `name` and `answer` ask back what was recognised; `leave` asks whether to stop,
            `another` offers another scenario, `specialist` a specialist.
        text: What was recognised, the name, or the other scenario.
        utterance: The number of the utterance that is asked back.
        help: What the specialist is for.
    """

    model_config = FROZEN

    kind: Literal["name", "answer", "leave", "another", "specialist"]
    text: str = ""
    utterance: int = 0
    help: HelpRequest | None = None


class ConversationState(BaseModel):
    """The history of a conversation, and its next turn.

    Attributes:
        scenario: The name of the present scenario.
        plan: The turns of the lesson, as `scenario.turn`, reviews first.
        position: The number of the present turn in the plan.
        attempts: How many utterances were no answer to the present turn.
        open_question: The question to be answered before the turn.
        name: What the learner is called, once known.
        over: Whether the tutor has said goodbye.
        utterances: How many utterances the learner made.
        doubted: How many answers the recogniser was unsure of.
        answers: The topics of the answers, one for each utterance that was an answer.
        words: Words of the glossary in answers, in the order of their first use.
        grammar: Grammar topics that answers showed, in the order of their first use.
        corrections: The latest mistakes.
        recorded_words: Words that a language model recorded, which no scenario has.
        helped: What a specialist was called or offered for.
    """

    model_config = FROZEN

    scenario: str
    plan: tuple[str, ...]
    position: int = 0
    attempts: int = 0
    open_question: OpenQuestion | None = None
    name: str = ""
    over: bool = False
    utterances: int = 0
    doubted: int = 0
    answers: tuple[SkillEvidence, ...] = ()
    words: tuple[SkillEvidence, ...] = ()
    grammar: tuple[SkillEvidence, ...] = ()
    corrections: tuple[NumberedMistake, ...] = Field(default=(), max_length=MAX_CORRECTIONS)
    recorded_words: tuple[RecordedWord, ...] = Field(default=(), max_length=MAX_CORRECTIONS)
    helped: tuple[str, ...] = ()

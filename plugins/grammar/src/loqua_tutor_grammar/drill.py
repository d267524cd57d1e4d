"""Drills: exercises on points of grammar, as data in `drills/*.toml`."""

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "LEVELS",
    "Drill",
    "DrillLines",
    "GrammarExercise",
    "load_drill",
    "select_exercise",
    "split_words",
]

LEVELS = (1, 2, 3)

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class GrammarExercise(BaseModel):
    """A question whose answer needs a point of grammar; it is open or has a right answer.

    Attributes:
        topic: What it is about, in the API's style (`family`).
        grammar_point: What it practises, in the API's names (`present_tense`).
        level: How hard it is, from 1 to 3.
        ask: The question.
        shows: Of an open question: any of these words shows that the answer tried the point.
        expects: Of the other: any of these phrases in an answer makes it right.
        model: The right answer as a sentence.
        message: Why, as a key of `messages.toml`.
    """

    model_config = _FROZEN

    topic: str
    grammar_point: str
    level: int = Field(default=1, ge=LEVELS[0], le=LEVELS[-1])
    ask: str
    shows: frozenset[str] = frozenset()
    expects: tuple[str, ...] = ()
    model: str = ""
    message: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.shows) == bool(self.expects):
            raise ValueError(f"{self.ask!r}: write `shows` or `expects`, not both")
        if self.expects and not (self.message and self.is_answered_by(self.model)):
            raise ValueError(
                f"{self.ask!r}: write `message`, and a `model` that has what it expects"
            )
        return self

    def is_answered_by(self, text: str) -> bool:
        """Return whether an answer has a phrase that is expected."""
        said = f" {' '.join(split_words(text))} "
        return any(f" {' '.join(split_words(phrase))} " in said for phrase in self.expects)


class DrillLines(BaseModel):
    """The tutor's lines around the exercises, in the language taught."""

    model_config = _FROZEN

    opening: str
    welcome_back: str
    right: str
    repeat: str
    go_on: str
    closing: str


class Drill(BaseModel):
    """The exercises of a language.

    Attributes:
        language: The language taught, as ISO 639-1 (`es`).
        name: The same, as the API calls it (`spanish`).
        lines: What is said around the exercises.
        exercises: All there are.
        count: How many a lesson has.
        focus: The point of grammar that comes first, or nothing.
    """

    model_config = _FROZEN

    language: str
    name: str
    lines: DrillLines
    exercises: tuple[GrammarExercise, ...] = Field(min_length=1)
    count: int = 1
    focus: str = ""


def load_drill(language: str, count: int, focus: str = "") -> Drill:
    """Load the exercises of a language, for a lesson of `count`, or of all where there are fewer.

    Raises:
        LookupError: If there are no exercises for that language.
    """
    file = files(__package__).joinpath("drills", f"{language}.toml")
    if not file.is_file():
        raise LookupError(f"no exercises for language {language!r}: add drills/{language}.toml")
    drill = Drill.model_validate(tomllib.loads(file.read_text("utf-8")))
    return drill.model_copy(
        update={"count": min(count, len(drill.exercises)), "focus": focus.strip()}
    )


def select_exercise(drill: Drill, done: Sequence[int], level: int) -> int:
    """Return the index of the next exercise.

    Those on the focus come first, then those on points that were practised least; of these, the
    nearest to the level.

    Args:
        drill: What there is.
        done: Indexes of what was asked before; at least one exercise is left.
        level: How hard it should be.
    """
    practised = Counter(drill.exercises[at].grammar_point for at in done)

    def rank(at: int) -> tuple[bool, int, int, int]:
        exercise = drill.exercises[at]
        other = exercise.grammar_point != drill.focus
        seen = practised[exercise.grammar_point] if other else 0
        return other, seen, abs(exercise.level - level), at

    return min(set(range(len(drill.exercises))) - set(done), key=rank)


def split_words(text: str) -> list[str]:
    """Return the words of a text, in lower case and with straight apostrophes."""
    straight = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", straight)

"""Drills: questions that bring up a point of grammar, as data in `drills/*.toml`."""

import tomllib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Drill", "Lines", "Question", "load_drill"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Question(BaseModel):
    """A question whose answer needs a point of grammar.

    Attributes:
        topic: What it is about, in the API's style (`family`).
        grammar_point: What it brings up, in the API's names (`present_tense`).
        ask: The question.
        shows: Any of these words shows that the answer tried the point.
    """

    model_config = _FROZEN

    topic: str
    grammar_point: str
    ask: str
    shows: frozenset[str]


class Lines(BaseModel):
    """What the tutor says around the questions, in the language taught."""

    model_config = _FROZEN

    opening: str
    welcome_back: str
    right: str
    repeat: str
    go_on: str
    closing: str


class Drill(BaseModel):
    """The questions of one lesson, in order.

    Attributes:
        language: The language taught, as ISO 639-1 (`es`).
        name: The same, as the API calls it (`spanish`).
        lines: What is said around the questions.
        questions: What is asked.
    """

    model_config = _FROZEN

    language: str
    name: str
    lines: Lines
    questions: tuple[Question, ...] = Field(min_length=1)


def load_drill(language: str, count: int, focus: str = "") -> Drill:
    """Load the first `count` questions for a language, or all where there are fewer.

    Those that bring up the point of grammar in `focus` come first.

    Raises:
        LookupError: If there are no questions for that language.
    """
    file = files(__package__).joinpath("drills", f"{language}.toml")
    if not file.is_file():
        raise LookupError(f"no questions for language {language!r}: add drills/{language}.toml")
    whole = Drill.model_validate(tomllib.loads(file.read_text("utf-8")))
    questions = sorted(whole.questions, key=lambda question: question.grammar_point != focus)
    return whole.model_copy(update={"questions": tuple(questions[:count])})

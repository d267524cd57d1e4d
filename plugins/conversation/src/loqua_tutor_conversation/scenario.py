"""Scenarios of conversations, as data in `scenarios/LANGUAGE/NAME.toml`."""

import string
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, StringConstraints, model_validator

from .toml_data import FROZEN, parse_toml

__all__ = [
    "LEVELS",
    "Branch",
    "Level",
    "Recast",
    "Scenario",
    "ScenarioTurn",
    "load_scenarios",
    "parse_scenario",
]

Level = Literal["A1", "A2", "B1", "B2"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""Levels of the Common European Framework of Reference, easiest first."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Translations = Annotated[dict[Code, Text], Field(min_length=1)]


class Branch(BaseModel):
    """The tutor's reply to a particular answer, and the next turn.

    Attributes:
        hears: Any of these takes the branch, unless the answer denies or asks it. One that is a
            negation itself, such as `no tengo`, takes it if nothing else affirms the turn's words.
        says: The tutor's reaction.
        to: The id of the turn that follows, if not the next one; `end` for none.
    """

    model_config = FROZEN

    hears: tuple[Text, ...] = Field(min_length=1)
    says: Text
    to: Key | None = None


class Recast(BaseModel):
    """The correct form of a turn's typical error.

    Attributes:
        right: What is listed at the end.
        says: What the tutor says at once, with the right form in it.
    """

    model_config = FROZEN

    right: Text
    says: Text


class ScenarioTurn(BaseModel):
    """One exchange of a scenario: the tutor asks, the learner answers.

    Attributes:
        id: Unique in the scenario.
        topic: The topic that an answer covers, in the API's style (`ordering_food`).
        ask: What the tutor says.
        expects: Phrases that show an answer, besides the turn's words; with neither, any
            sentence is an answer.
        name: Whether the answer is the learner's name, which is kept.
        model: An answer, as the learner could say it.
        accept: The reaction to an answer, which may have `{name}` and `{word}`; if empty, one of
            the language's acknowledgements.
        help: What to do, in native languages by ISO 639-1 code.
        words: The words and phrases to use, each with its translations.
        recasts: Typical errors and what is right.
        branches: Reactions to particular answers; the first that fits is taken.
    """

    model_config = FROZEN

    id: Key
    topic: Key
    ask: Text
    expects: tuple[Text, ...] = ()
    name: bool = False
    model: Text
    accept: str = ""
    help: Translations
    words: dict[Text, Translations] = Field(default_factory=dict)
    recasts: dict[Text, Recast] = Field(default_factory=dict)
    branches: tuple[Branch, ...] = ()

    @model_validator(mode="after")
    def _fields_are_known(self) -> "ScenarioTurn":
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.accept) if field}
        except ValueError as error:
            raise ValueError(f"accept: {error}: write {{name}} or {{word}}") from None
        if unknown := fields - {"name", "word"}:
            raise ValueError(f"accept has {{{min(unknown)}}}: write {{name}} or {{word}}")
        if self.name and self.expects:
            raise ValueError("a turn that asks for the name takes any name: remove expects")
        return self


class Scenario(BaseModel):
    """A guided conversation in one language.

    Attributes:
        language: The language spoken, from the folder's name.
        name: From the file's name.
        level: The level that it is written for.
        topic: What it is about, the topic of one of its turns.
        title: Its name in its language, as it follows "we talked about".
        goal: What the learner can do at the end, in English.
        focus: Areas of focus, as in the API, that it suits.
        opening: What the tutor says at its start.
        welcome_back: What the tutor says when it goes on after an interruption.
        closing: What the tutor says at its end.
        turns: The exchanges.
    """

    model_config = FROZEN

    language: Code
    name: Key
    level: Level
    topic: Key
    title: Text
    goal: Text
    focus: tuple[Key, ...]
    opening: Text
    welcome_back: Text
    closing: Text
    turns: tuple[ScenarioTurn, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _references_exist(self) -> "Scenario":
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        ids = [turn.id for turn in self.turns]
        yield from (f"two turns have the id {it!r}" for it in ids if ids.count(it) > 1)
        if self.topic not in self.topics:
            yield f"topic {self.topic!r} is none of its turns': write one of {sorted(self.topics)}"
        for number, turn in enumerate(self.turns):
            later = [*ids[number + 1 :], "end"]
            for branch in turn.branches:
                if branch.to is not None and branch.to not in later:
                    yield f"turn {turn.id!r} goes to {branch.to!r}: write a later one, of {later}"

    @property
    def topics(self) -> frozenset[str]:
        """The topics that this scenario can cover."""
        return frozenset(turn.topic for turn in self.turns)

    @property
    def words(self) -> tuple[str, ...]:
        """The words and phrases to use, in order."""
        return tuple(dict.fromkeys(word for turn in self.turns for word in turn.words))


def parse_scenario(language: str, name: str, text: str) -> Scenario:
    """Return the scenario in the text of `scenarios/LANGUAGE/NAME.toml`.

    Raises:
        DataError: If it is wrong; the message names file, key and remedy.
    """
    file = f"scenarios/{language}/{name}.toml"
    return parse_toml(file, text, Scenario, language=language, name=name)


@cache
def load_scenarios() -> tuple[Scenario, ...]:
    """Return all scenarios, by language, then from easy to hard, then by name."""
    found = [
        parse_scenario(folder.name, file.name.removesuffix(".toml"), file.read_text("utf-8"))
        for folder in files(__package__).joinpath("scenarios").iterdir()
        for file in folder.iterdir()
    ]
    return tuple(sorted(found, key=lambda it: (it.language, it.level, it.name)))

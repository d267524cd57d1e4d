"""A language's data for the tutor besides scenarios, from `languages/LANGUAGE.toml`."""

from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from pydantic import BaseModel, Field

from .pictures import Colour
from .toml_data import FROZEN, parse_toml

__all__ = ["Language", "Phrases", "Speciality", "known_languages", "load_language"]

Speciality = Literal["grammar", "pronunciation"]


class Phrases(BaseModel):
    """Phrases of the tutor in any scenario; fields in braces are filled in."""

    model_config = FROZEN

    hello: str
    hello_again: str
    remember: str = Field(description="{title} of the last scenario")
    streak: str = Field(description="{days} in a row")
    warm_up: str
    acknowledge: tuple[str, ...] = Field(min_length=1)
    heard: str = Field(description="{words} recognised in an answer to something else")
    quote: str = Field(description="{text} of a short answer to something else")
    not_understood: str = Field(description="for a long one, or a wrong guess")
    other_language: str = Field(description="asks to go on in the language taught")
    steer: tuple[str, ...] = Field(min_length=1, description="leads back to the question")
    hint: str = Field(description="{model} answer")
    go_on: str = Field(description="when a question stays without an answer; {model}")
    confirm_name: str = Field(description="{name}")
    confirm: str = Field(description="{text} of a doubtful answer")
    recast: str = Field(description="{right}")
    leave: str = Field(description="asks a learner who says goodbye in the middle")
    another: str = Field(description="offers another conversation, {title}")
    offer: dict[Speciality, str] = Field(description="offers a specialist")
    offer_declined: str
    taught: str
    absent: str
    recap_words: str = Field(description="{words}")
    recap_corrections: str = Field(description="{corrections}")
    seen: str = Field(description="{colour} of what the learner shows")
    unclear: str = Field(description="when there is no certain colour in the picture")
    unseen: str = Field(description="without a picture")


class Language(BaseModel):
    """A language in which the tutor converses.

    Attributes:
        phrases: What the tutor says in any scenario.
        yes: Words that agree.
        no: Words that disagree.
        negations: Words that negate what follows them in a clause.
        contrasts: Words that begin a clause which an earlier negation does not reach.
        goodbye: Phrases by which a learner leaves.
        lost: Phrases by which a learner asks to hear a question again, or for help with it.
        unsure: Phrases that ask for help if nothing much else is said.
        name_after: Phrases before a name.
        not_names: Words that are never part of a name.
        asks: Phrases by which a learner asks for a specialist.
        says: Phrases before words that a learner wants to say well.
        looks: Phrases by which a learner asks what the tutor sees.
        colours: Their names, as they fit `phrases.seen`.
        grammar: Phrases that show a grammar topic in use, by the API's name of the topic. In them,
            `*` stands for the beginning of a word.
        mistakes: What is wrong in any sentence and what is right, by topic.
    """

    model_config = FROZEN

    phrases: Phrases
    yes: tuple[str, ...] = Field(min_length=1)
    no: tuple[str, ...] = Field(min_length=1)
    negations: tuple[str, ...] = Field(min_length=1)
    contrasts: tuple[str, ...] = Field(min_length=1)
    goodbye: tuple[str, ...]
    lost: tuple[str, ...]
    unsure: tuple[str, ...]
    name_after: tuple[str, ...] = Field(min_length=1)
    not_names: tuple[str, ...]
    asks: dict[Speciality, tuple[str, ...]]
    says: tuple[str, ...]
    looks: tuple[str, ...]
    colours: dict[Colour, str] = Field(min_length=len(get_args(Colour)))
    grammar: dict[str, tuple[str, ...]]
    mistakes: dict[str, dict[str, str]]


@cache
def known_languages() -> frozenset[str]:
    """Return the codes of the languages that there is a file for."""
    found = files(__package__).joinpath("languages").iterdir()
    return frozenset(file.name.removesuffix(".toml") for file in found)


@cache
def load_language(language: str) -> Language:
    """Return what is known of a language.

    Raises:
        LookupError: If there is no file for it.
        DataError: If the file is wrong.
    """
    file = files(__package__).joinpath("languages", f"{language}.toml")
    if language not in known_languages():
        raise LookupError(f"languages/{language}.toml is missing: write it as languages/es.toml is")
    return parse_toml(f"languages/{language}.toml", file.read_text("utf-8"), Language)

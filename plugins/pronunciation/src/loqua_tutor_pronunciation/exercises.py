"""Exercises: what there is to repeat and what the tutor says, as data in `languages/*.toml`."""

import tomllib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Exercise", "Lines", "Plan", "plan"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Exercise(BaseModel):
    """A sentence to repeat, and the word in it that the learner is to take along.

    A word that a tutor asked for comes without translations.
    """

    model_config = _FROZEN

    text: str
    word: str
    translations: dict[str, str] = Field(
        default={}, description="of the word, by the API's language names"
    )

    def translation(self, native: str | None) -> str | None:
        """The word in the learner's language, or in the first one that there is."""
        return self.translations.get(native or "") or next(iter(self.translations.values()), None)


class Lines(BaseModel):
    """What the tutor says, in the language taught."""

    model_config = _FROZEN

    opening: str
    welcome_back: str
    repeat: str
    right: str
    again: str
    replaced: str
    unclear: str
    too_long: str
    too_short: str
    once_more: str
    better: str
    go_on: str
    closing: str
    carrier: str


class Plan(BaseModel):
    """The exercises of one lesson, in order."""

    model_config = _FROZEN

    language: str
    lines: Lines
    sounds: dict[str, str] = Field(
        default={}, description="names of sounds by IPA; others are never corrected"
    )
    exercises: tuple[Exercise, ...] = Field(min_length=1)


def plan(language: str, *, count: int, lessons_before: int, words: tuple[str, ...] = ()) -> Plan:
    """Plan a lesson of `count` exercises, or of all where there are fewer.

    Later lessons begin where earlier ones ended, and start over at the end. A lesson for
    `words` has these alone, each in a sentence.

    Raises:
        LookupError: If there are no exercises for that language.
    """
    folder = files(__package__).joinpath("languages")
    file = folder.joinpath(f"{language}.toml")
    if not file.is_file():
        raise LookupError(f"no exercises for language {language!r}: add languages/{language}.toml")
    whole = Plan.model_validate(tomllib.loads(file.read_text("utf-8")))
    if words:
        asked = tuple(_exercise(whole, word) for word in words[:count])
        return whole.model_copy(update={"exercises": asked})
    first = lessons_before * count % len(whole.exercises)
    turned = whole.exercises[first:] + whole.exercises[:first]
    return whole.model_copy(update={"exercises": turned[:count]})


def _exercise(whole: Plan, word: str) -> Exercise:
    """The exercise for a word, or one made for it: recognisers mishear words that stand alone."""
    for exercise in whole.exercises:
        if exercise.word.casefold() == word.casefold():
            return exercise
    return Exercise(text=whole.lines.carrier.format(word=word), word=word)

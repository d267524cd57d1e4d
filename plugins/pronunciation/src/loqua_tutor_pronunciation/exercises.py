"""Exercises: sentences to repeat and the tutor's lines, as data in `languages/*.toml`."""

import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from itertools import chain, groupby, zip_longest

from pydantic import BaseModel, ConfigDict, Field

from .levels import Level, distance

__all__ = ["Advice", "Exercise", "Lines", "SpokenLanguage", "load_language", "plan"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Exercise(BaseModel):
    """A sentence to repeat, and the word in it to learn.

    A word that a tutor asked for comes without translations, a learner's own text without a word.
    """

    model_config = _FROZEN

    text: str
    level: Level = "A1"
    word: str = ""
    translations: dict[str, str] = Field(
        default={}, description="of the word, by the API's language names"
    )
    sounds: tuple[str, ...] = Field(
        default=(), description="what a drill is for: keys of `sounds` or `advice`"
    )

    def translation(self, native: str | None) -> str | None:
        """Return the word in the learner's language, or in the first language that has one."""
        return self.translations.get(native or "") or next(iter(self.translations.values()), None)


class Advice(BaseModel):
    """A spelling rule of a language, and advice on the sound that it stands for.

    Attributes:
        spelled: A regular expression of the letters, in a word in lower case.
        says: The sentence about the `{word}`.
    """

    model_config = _FROZEN

    spelled: re.Pattern[str]
    says: str


class Lines(BaseModel):
    """The tutor's lines, in the language taught."""

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
    replay: str
    better: str
    go_on: str
    closing: str
    carrier: str
    slower: tuple[str, ...] = Field(description="how a learner asks for a slower voice")
    repetition: tuple[str, ...] = Field(description="how a learner asks to hear the sentence again")


class SpokenLanguage(BaseModel):
    """The exercises, advice and lines of a language.

    Attributes:
        language: Its ISO 639-1 code.
        lines: The tutor's lines.
        sounds: Names of sounds by IPA; others are never corrected by the scorer.
        advice: For words that were not recognised, by the name of the sound; the first rule that
            fits is used.
        exercises: Sentences for everybody.
        drills: Sentences and minimal pairs for one sound.
    """

    model_config = _FROZEN

    language: str
    lines: Lines
    sounds: dict[str, str] = {}
    advice: dict[str, Advice] = {}
    exercises: tuple[Exercise, ...] = Field(min_length=1)
    drills: tuple[Exercise, ...] = ()

    def has_sound(self, sound: str) -> bool:
        """Return whether the language knows a sound."""
        return sound in self.sounds or sound in self.advice


def load_language(code: str) -> SpokenLanguage:
    """Return a language by its ISO 639-1 code.

    Raises:
        LookupError: If there is none.
    """
    file = files(__package__).joinpath("languages", f"{code}.toml")
    if not file.is_file():
        raise LookupError(f"no exercises for language {code!r}: add languages/{code}.toml")
    return SpokenLanguage.model_validate(tomllib.loads(file.read_text("utf-8")))


def plan(
    language: SpokenLanguage,
    *,
    count: int,
    lessons_before: int,
    level: Level = "A1",
    focus: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
) -> tuple[Exercise, ...]:
    """Return the exercises of a lesson: `count`, or all where there are fewer.

    Half of them drill the sounds in focus, in turns. Those of the learner's level come first, then
    those of the levels beside it. Later lessons begin where earlier ones ended, and start over at
    the end.

    Args:
        language: The language.
        count: How many there are to be.
        lessons_before: How many lessons the learner had.
        level: The learner's.
        focus: Sounds to drill.
        words: Words that the lesson is for; it has these alone, each in a sentence.
    """
    if words:
        return tuple(_exercise(language, word) for word in words[:count])
    of_each = [
        _nearest_first((it for it in language.drills if sound in it.sounds), level, lessons_before)
        for sound in focus
    ]
    drills = tuple(_in_turns(of_each))[: (count + 1) // 2]
    return (*drills, *_nearest_first(language.exercises, level, lessons_before * count))[:count]


def _nearest_first(exercises: Iterable[Exercise], level: Level, first: int) -> tuple[Exercise, ...]:
    """Return the exercises by how near they are to a level, each level's from a place on."""

    def how_far(exercise: Exercise) -> int:
        return distance(exercise.level, level)

    groups = groupby(sorted(exercises, key=how_far), key=how_far)
    return tuple(chain.from_iterable(_turned(tuple(group), first) for _, group in groups))


def _in_turns(of_each: Iterable[tuple[Exercise, ...]]) -> Iterable[Exercise]:
    """Return the exercises of one sound and another in turns, each once."""
    mixed = chain.from_iterable(zip_longest(*of_each))
    return {drill.text: drill for drill in mixed if drill}.values()


def _turned(exercises: tuple[Exercise, ...], first: int) -> tuple[Exercise, ...]:
    start = first % len(exercises)
    return exercises[start:] + exercises[:start]


def _exercise(language: SpokenLanguage, word: str) -> Exercise:
    """Return the exercise for a word, or create one: recognisers mishear single words."""
    for exercise in language.exercises:
        if exercise.word.casefold() == word.casefold():
            return exercise
    return Exercise(text=language.lines.carrier.format(word=word), word=word)

"""The course of a practice: which exercise is on, how the learner does, what the tutor says.

All pure: each try turns `Notes` into the next `Notes`; what is spoken and reported is read
from them.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Progress, Word

from .exercises import Plan
from .scoring import score

__all__ = ["Notes", "greeting", "hear", "is_done", "line", "progress", "report"]


class Notes(BaseModel):
    """What happened in a practice; small enough to resume it from.

    Attributes:
        lessons_before: How many practices came before this one; the plan depends on it.
        passed: How many exercises are behind us.
        last: How the last try went: right, to be tried again, or let pass at the second miss.
        unrecognised: The words to be tried again.
        recognised: Words recognised at the first try, over all exercises.
        expected: Words there were to recognise at the first try.
        missed: Words that were not recognised at the first try.
        words: The exercises' own words that were recognised, at whichever try.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lessons_before: int
    passed: int = 0
    last: Literal["right", "again", "go_on"] | None = None
    unrecognised: tuple[str, ...] = ()
    recognised: int = 0
    expected: int = 0
    missed: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def hear(notes: Notes, plan: Plan, heard: str) -> Notes:
    """Score one try: a first one counts, a missed one is followed by a second."""
    if is_done(notes, plan):
        return notes
    exercise = plan.exercises[notes.passed]
    scored = score(exercise.text, heard)
    good = {word.text.casefold() for word in scored if word.recognised}
    misses = tuple(word.text for word in scored if not word.recognised)
    first = notes.last != "again"
    last: Literal["right", "again", "go_on"] = (
        "right" if not misses else "again" if first else "go_on"
    )
    return Notes(
        lessons_before=notes.lessons_before,
        passed=notes.passed + (last != "again"),
        last=last,
        unrecognised=misses,
        recognised=notes.recognised + first * (len(scored) - len(misses)),
        expected=notes.expected + first * len(scored),
        missed=_union(notes.missed, misses if first else ()),
        words=_union(notes.words, (exercise.word,) if exercise.word.casefold() in good else ()),
    )


def is_done(notes: Notes, plan: Plan) -> bool:
    """Whether no exercise is left."""
    return notes.passed >= len(plan.exercises)


def greeting(notes: Notes, plan: Plan) -> str:
    """What the tutor says when the learner can hear it, at first or after a break."""
    if notes.last is None:
        return f"{plan.lines.opening} {line(notes, plan)}"
    return f"{plan.lines.welcome_back} {line(notes, plan)}"


def line(notes: Notes, plan: Plan) -> str:
    """What the tutor says after the last try."""
    lines = plan.lines
    praise = f"{lines.right} " if notes.last == "right" else ""
    if is_done(notes, plan):
        closing = lines.closing.format(recognised=notes.recognised, expected=notes.expected)
        return f"{praise}{closing}"
    text = plan.exercises[notes.passed].text
    if notes.last == "again":
        return lines.again.format(words=", ".join(notes.unrecognised), text=text)
    lead = f"{lines.go_on} " if notes.last == "go_on" else praise
    return f"{lead}{lines.repeat.format(text=text)}"


def progress(notes: Notes) -> Progress:
    """The learner's progress.

    `phrases_practiced` counts exercises tried; `pronunciation_score` is the share of words
    recognised over all first tries, from 0 to 100.
    """
    share = 100 * notes.recognised / notes.expected if notes.expected else None
    return Progress(
        words_learned=len(notes.words),
        phrases_practiced=_tried(notes),
        pronunciation_score=None if share is None else round(share, 1),
    )


def report(notes: Notes, plan: Plan, native: str | None) -> LessonReport:
    """The lesson's report, with translations into the language that the API calls `native`."""
    tried = _tried(notes)
    return LessonReport(
        progress=progress(notes),
        topics_covered=("pronunciation",) if tried else (),
        new_vocabulary=tuple(
            Word(
                word=exercise.word,
                translation=translation,
                language=plan.language,
            )
            for exercise in plan.exercises
            if exercise.word in notes.words and (translation := exercise.translation(native))
        ),
        pronunciation_practice_count=tried,
        recommendations=_recommendations(notes),
    )


def _tried(notes: Notes) -> int:
    return notes.passed + (notes.last == "again")


def _recommendations(notes: Notes) -> tuple[str, ...]:
    missed = ", ".join(notes.missed[:8])
    return (f"Practise saying these words: {missed}",) if missed else ()


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

"""The course of a practice: which exercise is on, how the learner does, what the tutor says.

All pure: each try turns `Notes` into the next `Notes`; what is spoken and reported is read
from them.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Progress, Word

from .exercises import Plan
from .findings import Finding, describe, find, has_risen
from .recognition import compare
from .scoring import Assessment

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
        scores: Totals of the tries whose sound was scored, 0 to 100.
        scored: How many exercises have a scored try.
        is_scored: Whether the current exercise is one of them.
        finding: The sound that the last try got wrong.
        risen: The word that the last try said better than the one before.
        sounds: The sounds corrected so far, in IPA.
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
    scores: tuple[float, ...] = ()
    scored: int = 0
    is_scored: bool = False
    finding: Finding | None = None
    risen: str | None = None
    sounds: tuple[str, ...] = ()


def hear(notes: Notes, plan: Plan, heard: str, assessment: Assessment | None = None) -> Notes:
    """Note one try: what was wrong at a first one is followed by a second.

    Args:
        notes: What happened before.
        plan: The exercises.
        heard: What was recognised.
        assessment: How it sounded, or None if nothing could score it.
    """
    if is_done(notes, plan):
        return notes
    exercise = plan.exercises[notes.passed]
    words = compare(exercise.text, heard)
    good = {word.text.casefold() for word in words if word.recognised}
    misses = tuple(word.text for word in words if not word.recognised)
    finding = find(assessment, plan, notes.sounds) if assessment else None
    first = notes.last != "again"
    last: Literal["right", "again", "go_on"] = (
        "right" if not misses and not finding else "again" if first else "go_on"
    )
    told = finding if last == "again" and not misses else None
    return Notes(
        lessons_before=notes.lessons_before,
        passed=notes.passed + (last != "again"),
        last=last,
        unrecognised=misses,
        recognised=notes.recognised + first * (len(words) - len(misses)),
        expected=notes.expected + first * len(words),
        missed=_union(notes.missed, misses if first else ()),
        words=_union(notes.words, (exercise.word,) if exercise.word.casefold() in good else ()),
        scores=(*notes.scores, assessment.total) if assessment else notes.scores,
        scored=notes.scored + (assessment is not None and not notes.is_scored),
        is_scored=last == "again" and (assessment is not None or notes.is_scored),
        finding=told,
        risen=_risen(notes, assessment),
        sounds=_union(notes.sounds, (told.expected,) if told else ()),
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
    praise = f"{lines.better.format(word=notes.risen)} " if notes.risen else ""
    praise = praise or (f"{lines.right} " if notes.last == "right" else "")
    if is_done(notes, plan):
        closing = lines.closing.format(recognised=notes.recognised, expected=notes.expected)
        return f"{praise}{closing}"
    text = plan.exercises[notes.passed].text
    if notes.finding:
        return f"{describe(notes.finding, plan)} {lines.once_more.format(text=text)}"
    if notes.last == "again":
        return lines.again.format(words=", ".join(notes.unrecognised), text=text)
    lead = praise or (f"{lines.go_on} " if notes.last == "go_on" else "")
    return f"{lead}{lines.repeat.format(text=text)}"


def progress(notes: Notes) -> Progress:
    """The learner's progress.

    `phrases_practiced` counts exercises tried; `pronunciation_score` is the mean of the scored
    tries, from 0 to 100, and None without any: a recogniser's success is no score.
    """
    scores = notes.scores
    return Progress(
        words_learned=len(notes.words),
        phrases_practiced=_tried(notes),
        pronunciation_score=round(sum(scores) / len(scores), 1) if scores else None,
    )


def report(notes: Notes, plan: Plan, native: str | None) -> LessonReport:
    """The lesson's report, with translations into the language that the API calls `native`."""
    tried = _tried(notes)
    advised = dict(_recommendations(notes))
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
        pronunciation_practice_count=notes.scored,
        recommendations=tuple(advised),
        reasons=advised,
    )


def _tried(notes: Notes) -> int:
    return notes.passed + (notes.last == "again")


def _risen(notes: Notes, assessment: Assessment | None) -> str | None:
    before = notes.finding
    return before.word if before and assessment and has_risen(before, assessment) else None


def _recommendations(notes: Notes) -> Iterable[tuple[str, str]]:
    if missed := notes.missed:
        why = f"not recognised at the first try: {len(missed)} of {notes.expected} words"
        yield f"Practise saying these words: {', '.join(missed[:8])}", why


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

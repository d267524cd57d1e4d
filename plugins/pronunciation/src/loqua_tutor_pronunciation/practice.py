"""The course of a practice: which exercise is on, how the learner does, what the tutor says.

All pure: each try advances the `PracticeState`, from which what is spoken and reported is read.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Progress, Word

from .exercises import Plan
from .findings import Finding, describe, find, has_risen
from .recognition import compare
from .scoring import Assessment

__all__ = [
    "PracticeState",
    "advance",
    "greeting",
    "is_done",
    "is_expected",
    "line",
    "progress",
    "report",
]


class PracticeState(BaseModel):
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


def advance(
    state: PracticeState, plan: Plan, heard: str, assessment: Assessment | None = None
) -> PracticeState:
    """Return the state after one try: what was wrong at a first one is followed by a second.

    Args:
        state: What happened before.
        plan: The exercises.
        heard: What was recognised.
        assessment: How it sounded, or None if nothing could score it.
    """
    if is_done(state, plan):
        return state
    exercise = plan.exercises[state.passed]
    words = compare(exercise.text, heard)
    good = {word.text.casefold() for word in words if word.recognised}
    misses = tuple(word.text for word in words if not word.recognised)
    finding = find(assessment, plan, state.sounds) if assessment else None
    first = state.last != "again"
    last: Literal["right", "again", "go_on"] = (
        "right" if not misses and not finding else "again" if first else "go_on"
    )
    told = finding if last == "again" and not misses else None
    return PracticeState(
        lessons_before=state.lessons_before,
        passed=state.passed + (last != "again"),
        last=last,
        unrecognised=misses,
        recognised=state.recognised + first * (len(words) - len(misses)),
        expected=state.expected + first * len(words),
        missed=_union(state.missed, misses if first else ()),
        words=_union(state.words, (exercise.word,) if exercise.word.casefold() in good else ()),
        scores=(*state.scores, assessment.total) if assessment else state.scores,
        scored=state.scored + (assessment is not None and not state.is_scored),
        is_scored=last == "again" and (assessment is not None or state.is_scored),
        finding=told,
        risen=_risen(state, assessment),
        sounds=_union(state.sounds, (told.expected,) if told else ()),
    )


def is_done(state: PracticeState, plan: Plan) -> bool:
    """Whether no exercise is left."""
    return state.passed >= len(plan.exercises)


def is_expected(state: PracticeState, plan: Plan, heard: str) -> bool:
    """Whether each word of the exercise was recognised."""
    if is_done(state, plan):
        return False
    return all(it.recognised for it in compare(plan.exercises[state.passed].text, heard))


def greeting(state: PracticeState, plan: Plan) -> str:
    """What the tutor says when the learner can hear it, at first or after a break."""
    if state.last is None:
        return f"{plan.lines.opening} {line(state, plan)}"
    return f"{plan.lines.welcome_back} {line(state, plan)}"


def line(state: PracticeState, plan: Plan) -> str:
    """What the tutor says after the last try."""
    lines = plan.lines
    praise = f"{lines.better.format(word=state.risen)} " if state.risen else ""
    praise = praise or (f"{lines.right} " if state.last == "right" else "")
    if is_done(state, plan):
        closing = lines.closing.format(recognised=state.recognised, expected=state.expected)
        return f"{praise}{closing}"
    text = plan.exercises[state.passed].text
    if state.finding:
        return f"{describe(state.finding, plan)} {lines.once_more.format(text=text)}"
    if state.last == "again":
        return lines.again.format(words=", ".join(state.unrecognised), text=text)
    lead = praise or (f"{lines.go_on} " if state.last == "go_on" else "")
    return f"{lead}{lines.repeat.format(text=text)}"


def progress(state: PracticeState) -> Progress:
    """The learner's progress.

    `phrases_practiced` counts exercises tried; `pronunciation_score` is the mean of the scored
    tries, from 0 to 100, and None without any: a recogniser's success is no score.
    """
    scores = state.scores
    return Progress(
        words_learned=len(state.words),
        phrases_practiced=_tried(state),
        pronunciation_score=round(sum(scores) / len(scores), 1) if scores else None,
    )


def report(state: PracticeState, plan: Plan, native: str | None) -> LessonReport:
    """The lesson's report, with translations into the language that the API calls `native`."""
    tried = _tried(state)
    advised = dict(_recommendations(state))
    return LessonReport(
        progress=progress(state),
        topics_covered=("pronunciation",) if tried else (),
        new_vocabulary=tuple(
            Word(
                word=exercise.word,
                translation=translation,
                language=plan.language,
            )
            for exercise in plan.exercises
            if exercise.word in state.words and (translation := exercise.translation(native))
        ),
        pronunciation_practice_count=state.scored,
        recommendations=tuple(advised),
        reasons=advised,
    )


def _tried(state: PracticeState) -> int:
    return state.passed + (state.last == "again")


def _risen(state: PracticeState, assessment: Assessment | None) -> str | None:
    before = state.finding
    return before.word if before and assessment and has_risen(before, assessment) else None


def _recommendations(state: PracticeState) -> Iterable[tuple[str, str]]:
    if missed := state.missed:
        why = f"not recognised at the first try: {len(missed)} of {state.expected} words"
        yield f"Practise saying these words: {', '.join(missed[:8])}", why


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

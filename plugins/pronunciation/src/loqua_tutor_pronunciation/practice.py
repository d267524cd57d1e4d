"""The course of a practice: the exercise, the learner's results, and the tutor's reply.

All pure: each try advances the `PracticeState`, from which what is spoken and reported is read.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import Assessment, LessonReport, Progress, Word

from .advice import Hint, advise, find_hint
from .exercises import Exercise, SpokenLanguage
from .findings import SoundFinding, clearly_wrong, describe, find, has_risen, well_said
from .recognition import RecognisedWord, compare
from .sounds import sound_topics

__all__ = [
    "PracticeState",
    "add_text",
    "advance",
    "current_text",
    "greeting",
    "is_done",
    "is_expected",
    "line",
    "progress",
    "report",
]

_MOST_EXERCISES = 30
"""Exercises that a learner's own texts may bring a lesson to: a state is limited in size."""


class PracticeState(BaseModel):
    """The history of a practice, small enough to resume it from.

    Attributes:
        exercises: The exercises of the lesson, in order.
        focus: The sounds that the lesson was planned for: keys of the language's sounds or advice.
        passed: How many exercises are behind us.
        last: How the last try went: right, to be tried again, or let pass at the second miss.
        unrecognised: The words to be tried again.
        recognised: Words recognised at the first try, over all exercises.
        expected: Words there were to recognise at the first try.
        missed: Words that were not recognised at the first try.
        words: The exercises' own words that were recognised, at whichever try.
        scores: Totals of the tries whose sound was scored, 0 to 100.
        scored: The number of exercises with a scored attempt.
        is_scored: Whether the current exercise is one of them.
        finding: The wrong sound of the last attempt.
        hint: The advice about a word that was not recognised in it.
        risen: The word that improved in the last attempt.
        sounds: The sounds corrected so far.
        weak: The sounds that were certainly wrong, corrected or not, or advised on.
        good: The sounds of the drills that were right.
        slow: Whether the learner asked for a slow voice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exercises: tuple[Exercise, ...]
    focus: tuple[str, ...] = ()
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
    finding: SoundFinding | None = None
    hint: Hint | None = None
    risen: str | None = None
    sounds: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    good: tuple[str, ...] = ()
    slow: bool = False


def advance(
    state: PracticeState,
    language: SpokenLanguage,
    heard: str,
    assessment: Assessment | None = None,
) -> PracticeState:
    """Return the state after one try: what was wrong at a first one is followed by a second.

    Args:
        state: What happened before.
        language: The language taught.
        heard: What was recognised.
        assessment: How it sounded, or None if nothing could score it.
    """
    if is_done(state):
        return state
    exercise = state.exercises[state.passed]
    about = _union(state.focus, state.sounds)
    words = _recognised(exercise.text, heard, assessment)
    good = {word.text.casefold() for word in words if word.recognised}
    misses = tuple(word.text for word in words if not word.recognised)
    finding = find(assessment, language, about, misses) if assessment else None
    first = state.last != "again"
    risen = _risen(state, assessment)
    stays_wrong = state.finding is not None and state.finding.is_sure and not risen
    is_right = not (misses or finding or stays_wrong)
    last: Literal["right", "again", "go_on"] = (
        "right" if is_right else "again" if first else "go_on"
    )
    corrected = finding if last == "again" else None
    wrong = clearly_wrong(assessment, language) if assessment else ()
    hint = find_hint(misses, language, about) if last == "again" and not corrected else None
    is_judged = assessment is not None or not language.sounds  # a recogniser repairs slips
    return PracticeState(
        exercises=state.exercises,
        focus=state.focus,
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
        finding=corrected,
        hint=hint,
        risen=risen,
        sounds=_union(
            state.sounds, [corrected.expected] if corrected else [hint.sound] if hint else []
        ),
        weak=_union(state.weak, (*wrong, *([hint.sound] if hint else ()))),
        good=_union(state.good, exercise.sounds if last == "right" and is_judged else ()),
        slow=state.slow,
    )


def add_text(state: PracticeState, text: str) -> PracticeState:
    """Return the state with a text of the learner's own as the next exercise, or unchanged.

    Args:
        state: What happened before.
        text: What the learner typed.
    """
    own = Exercise(text=" ".join(text.split()))
    is_new = not is_done(state) and own.text != current_text(state)
    if not is_new or not compare(own.text, "") or len(state.exercises) >= _MOST_EXERCISES:
        return state
    before, after = state.exercises[: state.passed], state.exercises[state.passed :]
    return state.model_copy(
        update={
            "exercises": (*before, own, *after),
            "last": None,
            "finding": None,
            "hint": None,
            "risen": None,
            "is_scored": False,
        }
    )


def current_text(state: PracticeState) -> str:
    """Return the current sentence; empty after the last one."""
    return "" if is_done(state) else state.exercises[state.passed].text


def is_done(state: PracticeState) -> bool:
    """Return whether no exercise is left."""
    return state.passed >= len(state.exercises)


def is_expected(state: PracticeState, heard: str) -> bool:
    """Return whether each word of the exercise was recognised."""
    text = current_text(state)
    return bool(text) and all(it.recognised for it in compare(text, heard))


def greeting(state: PracticeState, language: SpokenLanguage) -> str:
    """Return what the tutor says when the learner can hear it, at first or after a break."""
    is_begun = state.last is not None or state.passed > 0
    opening = language.lines.welcome_back if is_begun else language.lines.opening
    return f"{opening} {line(state, language)}"


def line(state: PracticeState, language: SpokenLanguage) -> str:
    """Return what the tutor says after the last attempt."""
    lines, text = language.lines, current_text(state)
    praise = f"{lines.better.format(word=state.risen)} " if state.risen else ""
    praise = praise or (f"{lines.right} " if state.last == "right" else "")
    if is_done(state):
        closing = lines.closing.format(recognised=state.recognised, expected=state.expected)
        return f"{praise}{closing}"
    if state.last == "again":
        words = ", ".join(state.unrecognised)
        missed = lines.again.format(words=words) if words else ""
        parts = (missed, _advice(state, language), lines.once_more.format(text=text))
        return " ".join(part for part in parts if part)
    lead = praise or (f"{lines.go_on} " if state.last == "go_on" else "")
    return f"{lead}{lines.repeat.format(text=text)}"


def progress(state: PracticeState) -> Progress:
    """Return the learner's progress.

    `phrases_practiced` counts exercises tried; `pronunciation_score` is the mean of the scored
    tries, from 0 to 100, and None without any: a recogniser's success is no score.
    """
    scores = state.scores
    return Progress(
        words_learned=len(state.words),
        phrases_practiced=_tried(state),
        pronunciation_score=round(sum(scores) / len(scores), 1) if scores else None,
    )


def report(state: PracticeState, language: SpokenLanguage, native: str | None) -> LessonReport:
    """Return the lesson's report, with translations into the API's `native` language."""
    tried = _tried(state)
    advised = dict(_recommendations(state, language))
    good = set(state.good).difference(state.sounds)
    about = sound_topics(language.language, weak=state.weak, good=good)
    return LessonReport(
        progress=progress(state),
        topics_covered=("pronunciation", *about) if tried else (),
        new_vocabulary=tuple(
            Word(
                word=exercise.word,
                translation=translation,
                language=language.language,
            )
            for exercise in state.exercises
            if exercise.word in state.words and (translation := exercise.translation(native))
        ),
        pronunciation_practice_count=state.scored,
        recommendations=tuple(advised),
        reasons=advised,
    )


def _recognised(text: str, heard: str, assessment: Assessment | None) -> list[RecognisedWord]:
    """Return the words of a text; one that is well said counts, whatever it was taken for."""
    fine = well_said(assessment) if assessment else frozenset()
    return [
        replace(it, recognised=it.recognised or it.text.casefold() in fine)
        for it in compare(text, heard)
    ]


def _advice(state: PracticeState, language: SpokenLanguage) -> str:
    if state.finding:
        return describe(state.finding, language)
    return advise(state.hint, language) if state.hint else ""


def _tried(state: PracticeState) -> int:
    return state.passed + (state.last == "again")


def _risen(state: PracticeState, assessment: Assessment | None) -> str | None:
    before = state.finding
    return before.word if before and assessment and has_risen(before, assessment) else None


def _recommendations(state: PracticeState, language: SpokenLanguage) -> Iterable[tuple[str, str]]:
    weak = [it for it in state.sounds if it in state.weak and it in language.sounds]
    if names := [language.sounds[it] for it in weak]:
        yield f"Practise these sounds: {', '.join(names)}", "clearly wrong in a sentence"
    if missed := state.missed:
        why = f"not recognised at the first try: {len(missed)} of {state.expected} words"
        yield f"Practise saying these words: {', '.join(missed[:8])}", why


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

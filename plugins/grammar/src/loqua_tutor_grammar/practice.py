"""The course of a practice: what was asked, what was wrong, and what the tutor says next.

All pure: each sentence of the learner turns `Notes` into the next `Notes`; what is spoken and
reported is read from them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Performance, Progress

from .correction import Correction, correct_text
from .drill import LEVELS, Drill, Exercise, select_exercise, split_words
from .explanation import explain, explain_with_example

__all__ = [
    "Attempt",
    "Mistake",
    "Notes",
    "begin",
    "greeting",
    "hear",
    "is_done",
    "line",
    "mastery",
    "progress",
    "report",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid")

_FOUND_LIMIT = 5
"""Mistakes of one sentence that are noted: notes stay small, and so does discouragement."""

_MASTERED_AFTER = 3
"""Sentences on a point, all right, that make an achievement."""


class Mistake(BaseModel):
    """A mistake that was found, and whether the learner said it right when repeating."""

    model_config = _FROZEN

    message: str
    grammar_point: str
    right: str
    corrected: bool = False


class Attempt(BaseModel):
    """A sentence that tried a point of grammar."""

    model_config = _FROZEN

    grammar_point: str
    right: bool


class Notes(BaseModel):
    """What happened in a practice; small enough to resume it from.

    Attributes:
        asked: Indexes of the exercises asked so far, the current one last.
        finished: How many of them are behind us.
        phrases: How many sentences the learner said, repetitions included.
        faultless: How many answers had no mistake that is known.
        last: How the last sentence went: right, to be repeated, or let pass.
        sentence: The sentence to repeat.
        open: The mistakes in the sentence to repeat.
        closed: All earlier mistakes.
        topics: Topics of the exercises that were answered.
        points: Points of grammar that came up, tried or mistaken, in order.
        attempts: Each sentence that tried a point, repetitions included.
    """

    model_config = _FROZEN

    asked: tuple[int, ...] = ()
    finished: int = 0
    phrases: int = 0
    faultless: int = 0
    last: Literal["right", "repeat", "go_on"] | None = None
    sentence: str = ""
    open: tuple[Mistake, ...] = ()
    closed: tuple[Mistake, ...] = ()
    topics: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def begin(drill: Drill) -> Notes:
    """Return the notes of a practice whose first exercise is asked."""
    return _ask_on(Notes(), drill)


def hear(notes: Notes, drill: Drill, text: str, found: Sequence[Correction]) -> Notes:
    """Take note of one sentence: an answer, or a repetition after a correction.

    Args:
        notes: What happened before.
        drill: The exercises.
        text: What the learner said.
        found: What is wrong with it, in the order of the text.
    """
    if not split_words(text) or is_done(notes, drill):
        return notes
    if notes.last == "repeat":
        return _ask_on(_repeated(notes, text), drill)
    answered = _answered(notes, drill.exercises[notes.asked[-1]], text, found)
    return answered if answered.open else _ask_on(answered, drill)


def _answered(notes: Notes, exercise: Exercise, text: str, found: Sequence[Correction]) -> Notes:
    missed = bool(exercise.expects) and not exercise.is_answered_by(text)
    errors = [each for each in found if each.severity == "error"][:_FOUND_LIMIT]
    mistakes = (_missed(exercise),) if missed else tuple(map(_mistake, errors))
    tried = bool(exercise.expects) or bool(exercise.shows & set(split_words(text)))
    wrong = dict.fromkeys(mistake.grammar_point for mistake in mistakes)
    right = [exercise.grammar_point] if tried and exercise.grammar_point not in wrong else []
    return notes.model_copy(
        update={
            "finished": notes.finished + (not mistakes),
            "phrases": notes.phrases + 1,
            "faultless": notes.faultless + (not mistakes),
            "last": "repeat" if mistakes else "right",
            "sentence": exercise.model if missed else correct_text(text, errors) if errors else "",
            "open": mistakes,
            "topics": _union(notes.topics, [exercise.topic]),
            "points": _union(notes.points, [exercise.grammar_point] * tried + [*wrong]),
            "attempts": (
                *notes.attempts,
                *(Attempt(grammar_point=point, right=True) for point in right),
                *(Attempt(grammar_point=point, right=False) for point in wrong),
            ),
        }
    )


def _missed(exercise: Exercise) -> Mistake:
    return Mistake(
        message=exercise.message,
        grammar_point=exercise.grammar_point,
        right=exercise.expects[0],
    )


def _mistake(correction: Correction) -> Mistake:
    return Mistake(
        message=correction.message,
        grammar_point=correction.grammar_point,
        right=correction.replacements[0],
    )


def _repeated(notes: Notes, text: str) -> Notes:
    said = f" {' '.join(split_words(text))} "
    tried = tuple(
        mistake.model_copy(
            update={"corrected": f" {' '.join(split_words(mistake.right))} " in said}
        )
        for mistake in notes.open
    )
    again = {
        point: all(each.corrected for each in tried if each.grammar_point == point)
        for point in dict.fromkeys(each.grammar_point for each in tried)
    }
    return notes.model_copy(
        update={
            "finished": notes.finished + 1,
            "phrases": notes.phrases + 1,
            "last": "right" if all(again.values()) else "go_on",
            "sentence": "",
            "open": (),
            "closed": (*notes.closed, *tried),
            "attempts": (
                *notes.attempts,
                *(Attempt(grammar_point=point, right=right) for point, right in again.items()),
            ),
        }
    )


def _ask_on(notes: Notes, drill: Drill) -> Notes:
    """Choose the next exercise, unless none is left: harder after faultless answers."""
    if is_done(notes, drill):
        return notes
    wanted = LEVELS[0] + 2 * notes.faultless - notes.finished
    level = max(LEVELS[0], min(LEVELS[-1], wanted))
    chosen = select_exercise(drill, notes.asked, level)
    return notes.model_copy(update={"asked": (*notes.asked, chosen)})


def is_done(notes: Notes, drill: Drill) -> bool:
    """Return whether no exercise is left."""
    return notes.finished >= drill.count


def greeting(notes: Notes, drill: Drill) -> str:
    """Return what the tutor says when the learner can hear it, at first or after a break."""
    lines = drill.lines
    return f"{lines.welcome_back if notes.phrases else lines.opening} {line(notes, drill)}"


def line(notes: Notes, drill: Drill) -> str:
    """Return what the tutor says after a sentence: a correction, or praise and a question."""
    lines = drill.lines
    if notes.open:
        why = explain(notes.open[0].message, drill.name)
        return lines.repeat.format(sentence=notes.sentence, why=why)
    lead = {"right": f"{lines.right} ", "go_on": f"{lines.go_on} "}.get(notes.last or "", "")
    ask = lines.closing if is_done(notes, drill) else drill.exercises[notes.asked[-1]].ask
    return f"{lead}{ask}"


def progress(notes: Notes) -> Progress:
    """Return the learner's progress: sentences said, and points of grammar that came up."""
    return Progress(phrases_practiced=notes.phrases, grammar_points=notes.points)


def mastery(notes: Notes) -> Mapping[str, tuple[int, int]]:
    """Return, by point of grammar, how many sentences were right, and how many tried it."""
    points = dict.fromkeys(attempt.grammar_point for attempt in notes.attempts)
    tries = {
        point: [each.right for each in notes.attempts if each.grammar_point == point]
        for point in points
    }
    return {point: (sum(right), len(right)) for point, right in tries.items()}


def report(notes: Notes, native: str | None) -> LessonReport:
    """Return the lesson's report, with advice in the language that the API calls `native`."""
    mastered = {
        f"{point}_mastered": f"right in all of {tried} sentences"
        for point, (right, tried) in mastery(notes).items()
        if right == tried >= _MASTERED_AFTER
    }
    advised = dict(_recommendations(notes, native))
    return LessonReport(
        progress=progress(notes),
        topics_covered=notes.topics,
        grammar_points=notes.points,
        performance=_performance(notes),
        achievements=tuple(mastered),
        recommendations=tuple(advised),
        reasons=mastered | advised,
    )


def _performance(notes: Notes) -> Performance | None:
    answers = notes.finished + bool(notes.open)
    if not answers:
        return None
    share = notes.faultless / answers
    steps = ((0.9, Performance.EXCELLENT), (0.7, Performance.GOOD), (0.4, Performance.FAIR))
    return next((name for least, name in steps if share >= least), Performance.NEEDS_IMPROVEMENT)


def _recommendations(notes: Notes, native: str | None) -> Iterable[tuple[str, str]]:
    """Yield for each kind of mistake its rule with the sentences on its point, and the reason."""
    mastered = mastery(notes)
    points = {each.message: each.grammar_point for each in (*notes.closed, *notes.open)}
    for message, point in points.items():
        right, tried = mastered[point]
        rights = [it.right for it in (*notes.closed, *notes.open) if it.message == message]
        why = f"times corrected: {len(rights)}, at last to '{rights[-1]}'"
        yield f"{explain_with_example(message, native)} ({point}: {right}/{tried})", why


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

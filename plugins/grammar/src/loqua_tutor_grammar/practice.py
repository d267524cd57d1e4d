"""The course of a practice: questions, mistakes, and the tutor's next words.

The module is pure: each sentence of the learner advances the `GrammarPracticeState`, which has
all that is spoken and reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Performance, Progress

from .correction import GrammarCorrection, correct_text
from .drill import LEVELS, Drill, GrammarExercise, select_exercise, split_words
from .explanation import explain, explain_with_example

__all__ = [
    "Attempt",
    "GrammarPracticeState",
    "PractisedMistake",
    "advance",
    "begin",
    "greeting",
    "is_done",
    "is_expected",
    "line",
    "mastery",
    "progress",
    "report",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid")

_FOUND_LIMIT = 5
"""Mistakes of one sentence that are noted: the state stays small, and so does discouragement."""

_MASTERED_AFTER = 3
"""Sentences on a point, all right, that make an achievement."""


class PractisedMistake(BaseModel):
    """A mistake, and whether the learner repeated its correction correctly."""

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


class GrammarPracticeState(BaseModel):
    """The history of a practice, small enough to resume it from.

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
    open: tuple[PractisedMistake, ...] = ()
    closed: tuple[PractisedMistake, ...] = ()
    topics: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def begin(drill: Drill) -> GrammarPracticeState:
    """Return the state of a practice whose first exercise is asked."""
    return _ask_on(GrammarPracticeState(), drill)


def advance(
    state: GrammarPracticeState, drill: Drill, text: str, found: Sequence[GrammarCorrection]
) -> GrammarPracticeState:
    """Return the state after one sentence: an answer, or a repetition after a correction.

    Args:
        state: What happened before.
        drill: The exercises.
        text: What the learner said.
        found: What is wrong with it, in the order of the text.
    """
    if not split_words(text) or is_done(state, drill):
        return state
    if state.last == "repeat":
        return _ask_on(_repeated(state, text), drill)
    answered = _answered(state, drill.exercises[state.asked[-1]], text, found)
    return answered if answered.open else _ask_on(answered, drill)


def is_expected(state: GrammarPracticeState, drill: Drill, text: str) -> bool:
    """Return whether a sentence is the one to repeat, or has what the exercise expects."""
    if is_done(state, drill):
        return False
    if state.last == "repeat":
        return split_words(text) == split_words(state.sentence)
    return drill.exercises[state.asked[-1]].is_answered_by(text)


def _answered(
    state: GrammarPracticeState,
    exercise: GrammarExercise,
    text: str,
    found: Sequence[GrammarCorrection],
) -> GrammarPracticeState:
    missed = bool(exercise.expects) and not exercise.is_answered_by(text)
    errors = [each for each in found if each.severity == "error"][:_FOUND_LIMIT]
    mistakes = (_missed(exercise),) if missed else tuple(map(_mistake, errors))
    tried = bool(exercise.expects) or bool(exercise.shows & set(split_words(text)))
    wrong = dict.fromkeys(mistake.grammar_point for mistake in mistakes)
    right = [exercise.grammar_point] if tried and exercise.grammar_point not in wrong else []
    return state.model_copy(
        update={
            "finished": state.finished + (not mistakes),
            "phrases": state.phrases + 1,
            "faultless": state.faultless + (not mistakes),
            "last": "repeat" if mistakes else "right",
            "sentence": exercise.model if missed else correct_text(text, errors) if errors else "",
            "open": mistakes,
            "topics": _union(state.topics, [exercise.topic]),
            "points": _union(state.points, [exercise.grammar_point] * tried + [*wrong]),
            "attempts": (
                *state.attempts,
                *(Attempt(grammar_point=point, right=True) for point in right),
                *(Attempt(grammar_point=point, right=False) for point in wrong),
            ),
        }
    )


def _missed(exercise: GrammarExercise) -> PractisedMistake:
    return PractisedMistake(
        message=exercise.message,
        grammar_point=exercise.grammar_point,
        right=exercise.expects[0],
    )


def _mistake(correction: GrammarCorrection) -> PractisedMistake:
    return PractisedMistake(
        message=correction.message,
        grammar_point=correction.grammar_point,
        right=correction.replacements[0],
    )


def _repeated(state: GrammarPracticeState, text: str) -> GrammarPracticeState:
    said = f" {' '.join(split_words(text))} "
    tried = tuple(
        mistake.model_copy(
            update={"corrected": f" {' '.join(split_words(mistake.right))} " in said}
        )
        for mistake in state.open
    )
    again = {
        point: all(each.corrected for each in tried if each.grammar_point == point)
        for point in dict.fromkeys(each.grammar_point for each in tried)
    }
    return state.model_copy(
        update={
            "finished": state.finished + 1,
            "phrases": state.phrases + 1,
            "last": "right" if all(again.values()) else "go_on",
            "sentence": "",
            "open": (),
            "closed": (*state.closed, *tried),
            "attempts": (
                *state.attempts,
                *(Attempt(grammar_point=point, right=right) for point, right in again.items()),
            ),
        }
    )


def _ask_on(state: GrammarPracticeState, drill: Drill) -> GrammarPracticeState:
    """Choose the next exercise, unless none is left: harder after faultless answers."""
    if is_done(state, drill):
        return state
    wanted = LEVELS[0] + 2 * state.faultless - state.finished
    level = max(LEVELS[0], min(LEVELS[-1], wanted))
    chosen = select_exercise(drill, state.asked, level)
    return state.model_copy(update={"asked": (*state.asked, chosen)})


def is_done(state: GrammarPracticeState, drill: Drill) -> bool:
    """Return whether no exercise is left."""
    return state.finished >= drill.count


def greeting(state: GrammarPracticeState, drill: Drill) -> str:
    """Return what the tutor says when the learner can hear it, at first or after a break."""
    lines = drill.lines
    return f"{lines.welcome_back if state.phrases else lines.opening} {line(state, drill)}"


def line(state: GrammarPracticeState, drill: Drill) -> str:
    """Return what the tutor says after a sentence: a correction, or praise and a question."""
    lines = drill.lines
    if state.open:
        why = explain(state.open[0].message, drill.name)
        return lines.repeat.format(sentence=state.sentence, why=why)
    lead = {"right": f"{lines.right} ", "go_on": f"{lines.go_on} "}.get(state.last or "", "")
    ask = lines.closing if is_done(state, drill) else drill.exercises[state.asked[-1]].ask
    return f"{lead}{ask}"


def progress(state: GrammarPracticeState) -> Progress:
    """Return the learner's progress: sentences said, and points of grammar that came up."""
    return Progress(phrases_practiced=state.phrases, grammar_points=state.points)


def mastery(state: GrammarPracticeState) -> Mapping[str, tuple[int, int]]:
    """Return, by point of grammar, how many sentences were right, and how many tried it."""
    points = dict.fromkeys(attempt.grammar_point for attempt in state.attempts)
    tries = {
        point: [each.right for each in state.attempts if each.grammar_point == point]
        for point in points
    }
    return {point: (sum(right), len(right)) for point, right in tries.items()}


def report(state: GrammarPracticeState, native: str | None) -> LessonReport:
    """Return the lesson's report, with advice in the language that the API calls `native`."""
    mastered = {
        f"{point}_mastered": f"right in all of {tried} sentences"
        for point, (right, tried) in mastery(state).items()
        if right == tried >= _MASTERED_AFTER
    }
    advised = dict(_recommendations(state, native))
    return LessonReport(
        progress=progress(state),
        topics_covered=state.topics,
        grammar_points=state.points,
        performance=_performance(state),
        achievements=tuple(mastered),
        recommendations=tuple(advised),
        reasons=mastered | advised,
    )


def _performance(state: GrammarPracticeState) -> Performance | None:
    answers = state.finished + bool(state.open)
    if not answers:
        return None
    share = state.faultless / answers
    steps = ((0.9, Performance.EXCELLENT), (0.7, Performance.GOOD), (0.4, Performance.FAIR))
    return next((name for least, name in steps if share >= least), Performance.NEEDS_IMPROVEMENT)


def _recommendations(state: GrammarPracticeState, native: str | None) -> Iterable[tuple[str, str]]:
    """Yield for each kind of mistake its rule with the sentences on its point, and the reason."""
    mastered = mastery(state)
    points = {each.message: each.grammar_point for each in (*state.closed, *state.open)}
    for message, point in points.items():
        right, tried = mastered[point]
        rights = [it.right for it in (*state.closed, *state.open) if it.message == message]
        why = f"times corrected: {len(rights)}, at last to '{rights[-1]}'"
        yield f"{explain_with_example(message, native)} ({point}: {right}/{tried})", why


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

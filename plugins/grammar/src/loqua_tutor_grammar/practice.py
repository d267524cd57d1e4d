"""The course of a practice: what was asked, what was wrong, and what the tutor says next.

All pure: each sentence of the learner turns `Notes` into the next `Notes`; what is spoken and
reported is read from them.
"""

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Performance, Progress

from .check import check, corrected, explain
from .drill import Drill

__all__ = ["Mistake", "Notes", "greeting", "hear", "is_done", "line", "progress", "report"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")

_FOUND_LIMIT = 5
"""Mistakes of one sentence that are noted: notes stay small, and so does discouragement."""


class Mistake(BaseModel):
    """A mistake that was found, and whether the learner said it right when repeating."""

    model_config = _FROZEN

    message: str
    grammar_point: str
    right: str
    corrected: bool = False


class Notes(BaseModel):
    """What happened in a practice; small enough to resume it from.

    Attributes:
        asked: How many questions are behind us.
        phrases: How many sentences the learner said, repetitions included.
        faultless: How many answers had no mistake that the rules know.
        last: How the last sentence went: right, to be repeated, or let pass.
        sentence: The sentence to repeat.
        open: The mistakes in the sentence to repeat.
        closed: All earlier mistakes.
        topics: Topics of the questions that were answered.
        points: Points of grammar that came up, tried or mistaken, in order.
    """

    model_config = _FROZEN

    asked: int = 0
    phrases: int = 0
    faultless: int = 0
    last: Literal["right", "repeat", "go_on"] | None = None
    sentence: str = ""
    open: tuple[Mistake, ...] = ()
    closed: tuple[Mistake, ...] = ()
    topics: tuple[str, ...] = ()
    points: tuple[str, ...] = ()


def hear(notes: Notes, drill: Drill, text: str) -> Notes:
    """Take note of one sentence: an answer, or a repetition after a correction."""
    if not _words(text) or is_done(notes, drill):
        return notes
    if notes.last == "repeat":
        return _repeated(notes, text)
    return _answered(notes, drill, text)


def _answered(notes: Notes, drill: Drill, text: str) -> Notes:
    question = drill.questions[notes.asked]
    found = [c for c in check(text, drill.language) if c.severity == "error"][:_FOUND_LIMIT]
    tried = [question.grammar_point] if question.shows & set(_words(text)) else []
    return Notes(
        asked=notes.asked + (not found),
        phrases=notes.phrases + 1,
        faultless=notes.faultless + (not found),
        last="repeat" if found else "right",
        sentence=corrected(text, found) if found else "",
        open=tuple(
            Mistake(message=c.message, grammar_point=c.grammar_point, right=c.replacements[0])
            for c in found
        ),
        closed=notes.closed,
        topics=_union(notes.topics, [question.topic]),
        points=_union(notes.points, [*tried, *(c.grammar_point for c in found)]),
    )


def _repeated(notes: Notes, text: str) -> Notes:
    said = f" {' '.join(_words(text))} "
    tried = tuple(
        mistake.model_copy(update={"corrected": f" {' '.join(_words(mistake.right))} " in said})
        for mistake in notes.open
    )
    return notes.model_copy(
        update={
            "asked": notes.asked + 1,
            "phrases": notes.phrases + 1,
            "last": "right" if all(mistake.corrected for mistake in tried) else "go_on",
            "sentence": "",
            "open": (),
            "closed": (*notes.closed, *tried),
        }
    )


def is_done(notes: Notes, drill: Drill) -> bool:
    """Whether no question is left."""
    return notes.asked >= len(drill.questions)


def greeting(notes: Notes, drill: Drill) -> str:
    """What the tutor says when the learner can hear it, at first or after a break."""
    lines = drill.lines
    return f"{lines.welcome_back if notes.phrases else lines.opening} {line(notes, drill)}"


def line(notes: Notes, drill: Drill) -> str:
    """What the tutor says after the last sentence: one correction, or praise and a question."""
    lines = drill.lines
    if notes.open:
        why = explain(notes.open[0].message, drill.name)
        return lines.repeat.format(sentence=notes.sentence, why=why)
    lead = {"right": f"{lines.right} ", "go_on": f"{lines.go_on} "}.get(notes.last or "", "")
    ask = lines.closing if is_done(notes, drill) else drill.questions[notes.asked].ask
    return f"{lead}{ask}"


def progress(notes: Notes) -> Progress:
    """The learner's progress: sentences said, and points of grammar that came up."""
    return Progress(phrases_practiced=notes.phrases, grammar_points=notes.points)


def report(notes: Notes, native: str | None) -> LessonReport:
    """The lesson's report, with advice in the language that the API calls `native`."""
    return LessonReport(
        progress=progress(notes),
        topics_covered=notes.topics,
        grammar_points=notes.points,
        performance=_performance(notes),
        recommendations=tuple(_recommendations((*notes.closed, *notes.open), native)),
    )


def _performance(notes: Notes) -> Performance | None:
    answers = notes.asked + bool(notes.open)
    if not answers:
        return None
    share = notes.faultless / answers
    steps = ((0.9, Performance.EXCELLENT), (0.7, Performance.GOOD), (0.4, Performance.FAIR))
    return next((name for least, name in steps if share >= least), Performance.NEEDS_IMPROVEMENT)


def _recommendations(mistakes: tuple[Mistake, ...], native: str | None) -> Iterable[str]:
    """For each kind of mistake why it is one, how often it came and was set right."""
    for message in dict.fromkeys(mistake.message for mistake in mistakes):
        same = [mistake for mistake in mistakes if mistake.message == message]
        right = sum(mistake.corrected for mistake in same)
        yield f"{explain(message, native)} ({same[0].grammar_point}: {right}/{len(same)})"


def _words(text: str) -> list[str]:
    straight = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", straight)


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

"""The course of a conversation: what was said so far, and what the tutor says next.

All pure: a learner's sentence turns `Notes` into the next `Notes`, and everything that is
spoken or reported is read from them.
"""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Progress, Word

from .needs import load_needs, mistakes_in, need_asked
from .plain import has_any, plain
from .scenario import Scenario, grammar_phrases, scenarios

__all__ = ["Notes", "hear", "is_done", "line", "progress", "report"]


class Notes(BaseModel):
    """What happened in a conversation; small enough to resume it from.

    Attributes:
        scenario: The scenario's name.
        answered: How many questions are behind us.
        hinted: Whether the tutor is helping with the present question.
        phrases: How many sentences the learner said.
        words: Target words that the learner used, in the order of their first use.
        topics: Topics of the questions that the learner answered to the point.
        grammar: Grammar topics that showed in what the learner said.
        mistakes: Topics of the mistakes that the learner made, one by one.
        helped: Topics that the learner was sent to a specialist for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    answered: int = 0
    hinted: bool = False
    phrases: int = 0
    words: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    grammar: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    helped: tuple[str, ...] = ()


def hear(notes: Notes, scenario: Scenario, text: str) -> Notes:
    """Take note of one sentence of the learner."""
    said = plain(text)
    if not said or is_done(notes, scenario):
        return notes
    needs = load_needs(scenario.language)
    if needs and need_asked(needs, text):  # no answer: the question comes again
        return notes.model_copy(update={"phrases": notes.phrases + 1})
    question = scenario.questions[notes.answered]
    to_the_point = not question.expects or has_any(question.expects, said)
    goes_on = to_the_point or notes.hinted
    used = (t.word for t in scenario.vocabulary if has_any((t.word, *t.forms), said))
    phrases = grammar_phrases(scenario.language)
    met = (topic for topic in phrases if has_any(phrases[topic], said))
    return Notes(
        scenario=notes.scenario,
        answered=notes.answered + goes_on,
        hinted=not goes_on,
        phrases=notes.phrases + 1,
        words=_union(notes.words, used),
        topics=_union(notes.topics, (question.topic,) if to_the_point else ()),
        grammar=_union(notes.grammar, met),
        mistakes=(*notes.mistakes, *(mistakes_in(needs, text) if needs else ())),
        helped=notes.helped,
    )


def is_done(notes: Notes, scenario: Scenario) -> bool:
    """Whether no question is left."""
    return notes.answered >= len(scenario.questions)


def line(notes: Notes, scenario: Scenario) -> str:
    """What the tutor says now."""
    if is_done(notes, scenario):
        return scenario.closing
    question = scenario.questions[notes.answered]
    return question.hint if notes.hinted else question.ask


def progress(notes: Notes) -> Progress:
    """The learner's progress, counted from what the learner said."""
    return Progress(
        words_learned=len(notes.words),
        phrases_practiced=notes.phrases,
        grammar_points=notes.grammar,
    )


def report(notes: Notes, scenario: Scenario, native: str | None) -> LessonReport:
    """The lesson's report, with translations into the language that the API calls `native`."""
    used = {target.word: target for target in scenario.vocabulary}
    return LessonReport(
        progress=progress(notes),
        topics_covered=notes.topics,
        new_vocabulary=tuple(
            Word(
                word=word,
                translation=used[word].translation(native),
                language=scenario.language,
            )
            for word in notes.words
        ),
        grammar_points=notes.grammar,
        recommendations=tuple(_recommendations(notes, scenario)),
    )


def _recommendations(notes: Notes, scenario: Scenario) -> list[str]:
    unused = [t.word for t in scenario.vocabulary if t.word not in notes.words]
    others = [
        other.name
        for other in scenarios()
        if other.language == scenario.language and other.name != scenario.name
    ]
    advice = [f"Use these words in a sentence: {', '.join(unused[:4])}"] if unused else []
    if not is_done(notes, scenario):
        return [*advice, f"Finish the conversation '{scenario.name}'"]
    return [*advice, *(f"Try the conversation '{name}'" for name in others[:1])]


def _union(known: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *new)))

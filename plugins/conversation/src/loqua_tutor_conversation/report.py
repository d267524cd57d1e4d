"""Progress and report of a conversation. Every figure has its utterances in the state."""

from collections.abc import Iterable, Iterator

from loqua_host import LessonReport, Progress, Word

from .course import Course, begun_scenarios, scenario_of
from .evidence import new_words
from .state import ConversationState, Evidence
from .vocabulary import translate

__all__ = ["progress", "report"]


def progress(state: ConversationState, course: Course) -> Progress:
    """Return the progress: new words, utterances that were answers, and grammar they showed."""
    return Progress(
        words_learned=len(new_words(state, course)),
        phrases_practiced=len(state.answers),
        grammar_points=_distinct(state.grammar),
    )


def report(state: ConversationState, course: Course, unlocked: Iterable[str] = ()) -> LessonReport:
    """Return the report of a lesson.

    Args:
        state: The conversation at its end.
        course: The lesson's course.
        unlocked: Achievements that the learner has already.
    """
    code, native = course.code, course.learner.native
    return LessonReport(
        progress=progress(state, course),
        topics_covered=_distinct(state.answers),
        new_vocabulary=tuple(
            Word(word=word, translation=translate(word, code, native), language=code)
            for word in new_words(state, course)
        ),
        grammar_points=_distinct(state.grammar),
        achievements=tuple(it for it in _achievements(state, course) if it not in set(unlocked)),
        recommendations=tuple(_recommendations(state, course)),
    )


def _achievements(state: ConversationState, course: Course) -> Iterator[str]:
    """Return an achievement for each scenario of which each topic was answered to."""
    answered = {it.what for it in state.answers}
    for name in begun_scenarios(state, course):
        if scenario_of(course, name).topics <= answered:
            yield f"conversation_{course.code}_{name}"


def _recommendations(state: ConversationState, course: Course) -> Iterator[str]:
    for topic, right in {it.topic: it.right for it in state.corrections}.items():
        yield f"Remember: {right} ({topic})"
    scenario = scenario_of(course, state.scenario)
    used = {it.what for it in state.words}
    if unused := [word for word in scenario.words if word not in used]:
        yield f"Use these words in a sentence: {', '.join(unused[:4])}"
    if state.position < len(state.plan):
        yield f"Finish the conversation '{scenario.name}'"
        return
    begun = begun_scenarios(state, course)
    left = [name for name in course.scenarios if name not in begun]
    yield from (f"Try the conversation '{name}'" for name in left[:1])


def _distinct(shown: tuple[Evidence, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(it.what for it in shown))

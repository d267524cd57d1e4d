"""Progress and report of a conversation. Every figure has its utterances in the state."""

from collections.abc import Iterable, Iterator

from loqua_host import LessonReport, Progress, Word

from .course import Course, begun_scenarios, scenario_of
from .evidence import new_words
from .spoken_sounds import NO_SOUNDS, SpokenSounds, mean_score, recurring_sound
from .state import ConversationState, SkillEvidence
from .vocabulary import translate

__all__ = ["progress", "report"]


def progress(
    state: ConversationState, course: Course, sounds: SpokenSounds = NO_SOUNDS
) -> Progress:
    """Return the progress: new words, answers, grammar they showed, and how they sounded.

    Args:
        state: The conversation.
        course: The lesson's course.
        sounds: How the learner sounded.
    """
    return Progress(
        words_learned=len(new_words(state, course)) + len(state.recorded_words),
        phrases_practiced=len(state.answers),
        grammar_points=_distinct(state.grammar),
        pronunciation_score=mean_score(sounds),
    )


def report(
    state: ConversationState,
    course: Course,
    unlocked: Iterable[str] = (),
    sounds: SpokenSounds = NO_SOUNDS,
) -> LessonReport:
    """Return the report of a lesson.

    Args:
        state: The conversation at its end.
        course: The lesson's course.
        unlocked: Achievements that the learner has already.
        sounds: How the learner sounded.
    """
    code, native = course.code, course.learner.native
    achieved = {it: why for it, why in _achievements(state, course) if it not in set(unlocked)}
    advised = dict((*_recommendations(state, course), *_sounds_to_practise(sounds)))
    return LessonReport(
        progress=progress(state, course, sounds),
        topics_covered=_distinct(state.answers),
        new_vocabulary=(
            *(
                Word(word=word, translation=translate(word, code, native), language=code)
                for word in new_words(state, course)
            ),
            *(
                Word(word=it.word, translation=it.translation, language=code)
                for it in state.recorded_words
            ),
        ),
        grammar_points=_distinct(state.grammar),
        achievements=tuple(achieved),
        recommendations=tuple(advised),
        reasons=achieved | advised,
    )


def _achievements(state: ConversationState, course: Course) -> Iterator[tuple[str, str]]:
    """Yield an achievement for each scenario of which each topic was answered to, and why."""
    answered = {it.what: it.utterance for it in state.answers}
    for name in begun_scenarios(state, course):
        topics = scenario_of(course, name).topics
        if topics <= answered.keys():
            said = _numbers(answered[topic] for topic in topics)
            yield f"conversation_{course.code}_{name}", f"each topic was answered to, in {said}"


def _recommendations(state: ConversationState, course: Course) -> Iterator[tuple[str, str]]:
    for topic, latest in {it.topic: it for it in state.corrections}.items():
        said = _numbers(it.utterance for it in state.corrections if it.topic == topic)
        why = f"the learner said '{latest.wrong}'; mistakes of this kind are in {said}"
        yield f"Remember: {latest.right} ({topic})", why
    scenario = scenario_of(course, state.scenario)
    used = {it.what for it in state.words}
    if unused := [word for word in scenario.words if word not in used]:
        words = ", ".join(unused[:4])
        why = f"words of '{scenario.name}' that no answer had: {len(unused)}"
        yield f"Use these words in a sentence: {words}", why
    if state.position < len(state.plan):
        left = len(state.plan) - state.position
        yield f"Finish the conversation '{scenario.name}'", f"questions left: {left}"
        return
    begun = begun_scenarios(state, course)
    others = [name for name in course.scenarios if name not in begun]
    yield from (
        (f"Try the conversation '{name}'", f"'{scenario.name}' is finished, and this one is next")
        for name in others[:1]
    )


def _sounds_to_practise(sounds: SpokenSounds) -> Iterator[tuple[str, str]]:
    if sound := recurring_sound(sounds):
        found = [it for it in sounds.weak if it.sound == sound]
        words = ", ".join(dict.fromkeys(it.word for it in found))
        said = _numbers(it.utterance for it in found)
        why = f"clearly wrong in {said}; utterances with it: {sounds.heard[sound]}"
        yield f"Practise the sound [{sound}], as in: {words}", why


def _numbers(utterances: Iterable[int]) -> str:
    return f"utterance {', '.join(map(str, sorted(set(utterances))))}"


def _distinct(shown: tuple[SkillEvidence, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(it.what for it in shown))

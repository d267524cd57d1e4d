"""Evidence of the learner's skills, each with the number of its utterance."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import eq

import loqua_host

from .course import Course, current_turn
from .plain import find_phrase, has_any, has_any_form, plain
from .state import MAX_CORRECTIONS, ConversationState, NumberedMistake, SkillEvidence
from .triggers import Mistake, find_mistakes
from .vocabulary import find_words, load_glossary

__all__ = ["new_words", "note_answer", "note_mistakes", "present_corrections"]

_MENDED_WITHIN = 3
"""Words after a mistake, within which a learner who notices it says what is right."""


def note_answer(
    state: ConversationState, course: Course, topic: str, text: str, utterance: int
) -> ConversationState:
    """Return the state with what an answer shows: its topic, its words, its grammar.

    Args:
        state: The state before.
        course: The lesson's course.
        topic: The topic of the turn that is answered.
        text: The answer.
        utterance: The number of its utterance.
    """
    words = find_words(text, course.code)
    topics = course.language.grammar
    shown = (topic for topic in topics if has_any_form(topics[topic], text))
    return state.model_copy(
        update={
            "answers": (*state.answers, SkillEvidence(what=topic, utterance=utterance)),
            "words": _with(state.words, words, utterance),
            "grammar": _with(state.grammar, shown, utterance),
        }
    )


def note_mistakes(state: ConversationState, course: Course, text: str) -> ConversationState:
    """Return the state with the mistakes of the latest utterance: common ones, and the turn's."""
    mistakes = [it for it in find_mistakes(course.language, text) if not _is_mended(it, text)]
    common = {mistake.right for mistake in mistakes}
    own = (
        it
        for it in _mistakes_in_turn(state, course, text)
        if it.right not in common and not _is_mended(it, text)
    )
    found = (
        NumberedMistake(
            **it.model_dump(exclude={"wrong"}),
            wrong=_as_written(it.wrong, text),
            utterance=state.utterances,
        )
        for it in (*mistakes, *own)
    )
    corrections = (*state.corrections, *found)[-MAX_CORRECTIONS:]
    return state.model_copy(update={"corrections": corrections})


def new_words(state: ConversationState, course: Course) -> tuple[str, ...]:
    """Return the learner's words that no topic of an earlier session asked for."""
    glossary, known = load_glossary(course.code), course.learner.known
    words = (it.what for it in state.words if it.what in glossary)
    return tuple(word for word in words if not glossary[word].topics & known)


def present_corrections(state: ConversationState, text: str) -> Iterator[loqua_host.Correction]:
    """Yield the mistakes of the latest utterance, as the learner's page shows them.

    Args:
        state: The state with them.
        text: The utterance.
    """
    for it in state.corrections:
        if it.utterance == state.utterances and (found := find_phrase(it.wrong, text)):
            start, end = found
            yield loqua_host.Correction(
                text=text, start=start, end=end, corrected=it.right, rule=it.topic
            )


def _is_mended(mistake: Mistake, text: str) -> bool:
    """Return whether the learner says at once what is right: yo tiene, no, tengo."""
    wrong, right = mistake.wrong.split(), plain(mistake.right).split()
    different = sum(takewhile(bool, map(eq, wrong, right)))
    said, mended = plain(text), right[different:]
    start = f" {said} ".partition(f" {mistake.wrong} ")[0].count(" ") + len(wrong)
    return bool(mended) and any(
        said.split()[at : at + len(mended)] == mended for at in range(start, start + _MENDED_WITHIN)
    )


def _as_written(phrase: str, text: str) -> str:
    """Return a plain phrase as a text has it, with accents: años, not anos."""
    found = find_phrase(phrase, text)
    return text[slice(*found)].casefold() if found else phrase


def _with(
    shown: tuple[SkillEvidence, ...], found: Iterable[str], utterance: int
) -> tuple[SkillEvidence, ...]:
    known = {it.what for it in shown}
    new = (SkillEvidence(what=it, utterance=utterance) for it in found if it not in known)
    return (*shown, *new)


def _mistakes_in_turn(state: ConversationState, course: Course, text: str) -> Iterator[Mistake]:
    """Return the typical mistakes of the present turn; their topic is the turn's."""
    turn = current_turn(state, course)
    if turn is None:
        return
    for wrong, recast in turn.recasts.items():
        if has_any((wrong,), plain(text)):
            yield Mistake(topic=turn.topic, wrong=plain(wrong), right=recast.right)

"""Records of a language model about the latest utterance, beyond those of the rules; pure.

A model is believed only where the utterance bears it out: a mistake and a word must have been
said, and an utterance is one answer at most. So both minds report in the same terms, and each
figure still has its utterance.
"""

from .course import Course, current_turn
from .plain import has_any, plain
from .state import MAX_CORRECTIONS, ConversationState, NumberedMistake, RecordedWord
from .steps import LearnerUtterance, UtteranceResult, accept, changed
from .vocabulary import find_words

__all__ = ["record_answer", "record_mistake", "record_word"]

_LONGEST = 60
"""Characters of what a model may record."""


def record_answer(
    before: ConversationState, after: ConversationState, course: Course, heard: LearnerUtterance
) -> UtteranceResult | None:
    """Return the step if the utterance answers the question in words that nobody expected.

    Args:
        before: The state before the utterance.
        after: The state after it.
        course: The lesson's course.
        heard: The utterance.

    Returns:
        None if it was counted already, or there is no question that it could answer.
    """
    turn = current_turn(before, course)
    is_counted = any(it.utterance == after.utterances for it in after.answers)
    if turn is None or turn.name or before.over or is_counted or not plain(heard.text):
        return None
    noted = changed(
        before, utterances=after.utterances, corrections=after.corrections, open_question=None
    )
    return accept(noted, course, turn, heard, after.utterances)


def record_mistake(
    state: ConversationState, text: str, correction: tuple[str, str, str]
) -> ConversationState | None:
    """Return the state with a mistake of the latest utterance.

    Args:
        state: The state after the utterance.
        text: The utterance.
        correction: What was wrong, what is right, and the grammar topic by the API's name.

    Returns:
        None if it was not said, is none, or is known.
    """
    wrong, right, topic = (it.strip()[:_LONGEST] for it in correction)
    is_known = any(
        it.utterance == state.utterances and plain(it.right) == plain(right)
        for it in state.corrections
    )
    is_said = bool(plain(wrong)) and has_any((wrong,), plain(text))
    is_topic = topic.isascii() and topic.replace("_", "").isalpha()
    if not is_said or not plain(right) or plain(wrong) == plain(right) or is_known or not is_topic:
        return None
    new = NumberedMistake(
        topic=topic.lower(), wrong=plain(wrong), right=right, utterance=state.utterances
    )
    return changed(state, corrections=(*state.corrections, new)[-MAX_CORRECTIONS:])


def record_word(
    state: ConversationState, course: Course, text: str, word: str, translation: str
) -> ConversationState | None:
    """Return the state with a new word of the latest utterance that no scenario has.

    Returns:
        None if it was not said, is known, or has no translation.
    """
    word, translation = word.strip().casefold()[:_LONGEST], translation.strip()[:_LONGEST]
    is_known = bool(find_words(word, course.code)) or any(
        plain(it.word) == plain(word) for it in state.recorded_words
    )
    if not plain(word) or not has_any((word,), plain(text)) or not translation or is_known:
        return None
    new = RecordedWord(word=word, translation=translation, utterance=state.utterances)
    return changed(state, recorded_words=(*state.recorded_words, new)[-MAX_CORRECTIONS:])

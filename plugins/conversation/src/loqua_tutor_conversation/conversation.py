"""The course of a conversation: how an utterance changes its state, and the reply; pure.

Every utterance is taken up: as a request, as the answer to a question, as a mistake to recast, or
by what was recognised of it, with a way back to the question.
"""

from dataclasses import replace

from . import answers, replies
from .course import Course, current_turn, help_languages
from .evidence import note_mistakes
from .other_language import is_other_language
from .plain import has_any, plain, tokens
from .scenario import ScenarioTurn
from .state import ConversationState, OpenQuestion
from .steps import (
    MAX_ATTEMPTS,
    LearnerUtterance,
    UtteranceResult,
    accept,
    after,
    ask,
    ask_back,
    begin,
    changed,
    conclude,
    retry,
)
from .triggers import HelpRequest, help_asked, help_needed

__all__ = ["advance", "asks_to_look", "is_whole_answer"]

MAX_DOUBTED = 2
"""Answers that the recogniser was unsure of, after which pronunciation is worth an exercise."""

_ONLY_NO = 2
"""Words of an utterance that can only be a no."""

WHOLE = 3
"""Words of a whole answer; a verb alone is its beginning."""

LONGEST_QUOTE = 80
"""Characters of an answer that is asked back."""


def advance(state: ConversationState, course: Course, heard: LearnerUtterance) -> UtteranceResult:
    """Return what becomes of a conversation with an utterance, and the reply to it."""
    if not plain(heard.text) or state.over:
        return ask(state, course)
    state = changed(state, utterances=state.utterances + 1)
    if asked := help_asked(course.language, heard.text):
        return replace(ask(changed(state, open_question=None), course), help=asked)
    if asks_to_look(course, heard.text):
        seen = replies.sight(course, has_picture=heard.has_picture, colour=heard.colour)
        return after((seen,), ask(state, course))
    # What may be misheard, or is in another language, shows no mistakes.
    is_sure = not heard.is_doubtful and heard.language in (None, course.code)
    if is_sure:
        state = note_mistakes(state, course, heard.text)
    recast = replies.recast(state, course, heard.text) if is_sure else ()
    step = _answer_open(state, course, heard)
    if step is None:
        step = _answer_turn(state, course, heard)
    return _shortened(after(recast, _offer_help(step, course, heard)), course)


def asks_to_look(course: Course, text: str) -> bool:
    """Return whether the learner asks what the tutor sees."""
    return has_any(course.language.looks, plain(text))


def is_whole_answer(state: ConversationState, course: Course, text: str) -> bool:
    """Return whether an utterance answers what was asked, so that nothing has to follow."""
    language = course.language
    if state.open_question and (
        answers.agrees(language, text) or answers.disagrees(language, text)
    ):
        return True
    turn = current_turn(state, course)
    if turn is None:
        return False
    if turn.name:
        return answers.find_name(language, text) is not None
    return len(tokens(text)) >= WHOLE and answers.is_answer(turn, course.code, text)


def _shortened(step: UtteranceResult, course: Course) -> UtteranceResult:
    """Leave out what a learner with a slow pace can do without; a goodbye is said in full."""
    if step.state.over:
        return step
    first = course.learner.pace.sentences - 1
    return replace(step, parts=(*step.parts[:-1][:first], *step.parts[-1:]))


def _answer_open(
    state: ConversationState, course: Course, heard: LearnerUtterance
) -> UtteranceResult | None:
    """Return the step from an answer to the open question; None if it is none."""
    asked = state.open_question
    if asked is None:
        return None
    state = changed(state, open_question=None)
    if _confirms(asked, course, heard.text):
        return _agree(state, course, asked, heard)
    if answers.disagrees(course.language, heard.text) and not _corrects(state, course, heard.text):
        return _decline(state, course, asked)
    return _ask_open_again(state, course, asked, heard.text)


def _confirms(asked: OpenQuestion, course: Course, text: str) -> bool:
    """Return whether an utterance agrees, if only by saying the same again."""
    if asked.kind == "name" and (found := answers.find_name(course.language, text)):
        return found[0] == asked.text
    is_goodbye = asked.kind == "leave" and answers.says_goodbye(course.language, text)
    return is_goodbye or answers.agrees(course.language, text)


def _ask_open_again(
    state: ConversationState, course: Course, asked: OpenQuestion, text: str
) -> UtteranceResult | None:
    """Return the step that repeats an open question, if it was not understood, or its answer."""
    wants_it = answers.asks_for_help(help_languages(course), text)
    is_misheard = not wants_it and _is_misheard(state, course, asked, text)
    if state.attempts >= MAX_ATTEMPTS or not (wants_it or is_misheard):
        return None
    again = ask_back(changed(state, attempts=state.attempts + 1), course, asked)
    return after((course.language.phrases.not_understood,), again) if is_misheard else again


def _is_misheard(state: ConversationState, course: Course, asked: OpenQuestion, text: str) -> bool:
    """Return whether one word is most likely a yes or no, which recognisers take for others."""
    if len(tokens(text)) != 1 or asked.kind == "name":
        return False
    turn = current_turn(state, course)
    return turn is None or turn.name or not answers.is_answer(turn, course.code, text)


def _corrects(state: ConversationState, course: Course, text: str) -> bool:
    """Return whether an utterance that says no says a better answer, too: no, para tres."""
    turn = current_turn(state, course)
    if turn is None or len(tokens(text)) <= _ONLY_NO:
        return False
    if turn.name:
        return answers.find_name(course.language, text) is not None
    return answers.is_answer(turn, course.code, text)


def _agree(
    state: ConversationState, course: Course, asked: OpenQuestion, heard: LearnerUtterance
) -> UtteranceResult:
    turn = current_turn(state, course)
    if asked.kind == "specialist":
        return replace(ask(state, course), help=asked.help)
    if asked.kind == "another":
        return begin(state, course, asked.text)
    if asked.kind == "leave" or turn is None:
        return conclude(state, course)
    if asked.kind == "name":
        named = changed(state, name=asked.text)
        return accept(named, course, turn, replace(heard, text=""), asked.utterance)
    return accept(state, course, turn, replace(heard, text=asked.text), asked.utterance)


def _decline(state: ConversationState, course: Course, asked: OpenQuestion) -> UtteranceResult:
    if asked.kind == "another":
        return conclude(state, course)
    if asked.kind in ("name", "answer"):
        return retry(state, course, LearnerUtterance(""))
    return after((course.language.phrases.offer_declined,), ask(state, course))


def _answer_turn(
    state: ConversationState, course: Course, heard: LearnerUtterance
) -> UtteranceResult:
    turn = current_turn(state, course)
    if turn is None:
        return conclude(state, course)
    if answers.asks_for_help(help_languages(course), heard.text):
        return retry(state, course, LearnerUtterance(heard.text))
    if turn.name and not is_other_language(heard.text, heard.language, course):
        return _answer_name(state, course, turn, heard)
    if _answers(turn, course, heard):
        return _answer(state, course, turn, heard)
    if any(answers.says_goodbye(it, heard.text) for it in help_languages(course)):
        return ask_back(state, course, OpenQuestion(kind="leave"))
    return retry(state, course, heard)


def _answers(turn: ScenarioTurn, course: Course, heard: LearnerUtterance) -> bool:
    is_other = is_other_language(heard.text, heard.language, course)
    return not is_other and answers.is_answer(turn, course.code, heard.text)


def _answer(
    state: ConversationState, course: Course, turn: ScenarioTurn, heard: LearnerUtterance
) -> UtteranceResult:
    if not heard.is_doubtful:
        return accept(state, course, turn, heard, state.utterances)
    text, utterance = heard.text[:LONGEST_QUOTE], state.utterances
    asked = OpenQuestion(kind="answer", text=text, utterance=utterance)
    return _ask_back_heard(changed(state, doubted=state.doubted + 1), course, asked)


def _answer_name(
    state: ConversationState, course: Course, turn: ScenarioTurn, heard: LearnerUtterance
) -> UtteranceResult:
    name, is_certain = answers.find_name(course.language, heard.text) or ("", False)
    if heard.is_doubtful or heard.is_unsure_of(name):
        # What was misheard is most likely the name that the app knows.
        name, is_certain = course.learner.name or name, False
    if not name:
        return retry(state, course, heard)
    if is_certain:
        return accept(changed(state, name=name), course, turn, heard, state.utterances)
    asked = OpenQuestion(kind="name", text=name, utterance=state.utterances)
    return _ask_back_heard(state, course, asked)


def _ask_back_heard(
    state: ConversationState, course: Course, asked: OpenQuestion
) -> UtteranceResult:
    """Confirm what was recognised; it counts as an attempt, so it cannot repeat forever."""
    if state.attempts >= MAX_ATTEMPTS:
        return retry(state, course, LearnerUtterance(asked.text))
    return ask_back(changed(state, attempts=state.attempts + 1), course, asked)


def _offer_help(step: UtteranceResult, course: Course, heard: LearnerUtterance) -> UtteranceResult:
    """Offer a specialist when a mistake or a sound returns, or answers are hard to recognise."""
    state = step.state
    needed = _help_needed(state, course, heard.weak_sound)
    if needed is None or needed.speciality not in course.specialists:
        return step
    if state.over or step.help or state.open_question is not None:
        return step
    # Of pronunciation once, of grammar once for each topic.
    is_grammar = needed.speciality == "grammar"
    helped = (*state.helped, needed.focus if is_grammar else needed.speciality)
    asked = OpenQuestion(kind="specialist", help=needed)
    return ask_back(changed(state, helped=helped), course, asked)


def _help_needed(
    state: ConversationState, course: Course, weak_sound: str | None
) -> HelpRequest | None:
    grammar = (it.topic for it in state.corrections if it.topic in course.language.mistakes)
    needed = help_needed(grammar, state.helped)
    if needed or "pronunciation" in state.helped:
        return needed
    if weak_sound:
        return HelpRequest(speciality="pronunciation", focus=weak_sound)
    if state.doubted < MAX_DOUBTED:
        return None
    words = tuple(it.what for it in state.words[-3:])
    return HelpRequest(speciality="pronunciation", words=words)

"""Replies of the tutor in parts; the last part asks for the learner's answer."""

from .affirmation import affirmed, branch_of
from .answers import asks_for_help
from .course import Course, current_turn, help_languages, scenario_of
from .evidence import new_words
from .pictures import Colour
from .plain import has_any, plain, tokens
from .scenario import ScenarioTurn
from .state import ConversationState, OpenQuestion
from .vocabulary import find_words

__all__ = [
    "ask_open",
    "goodbye",
    "help_in_silence",
    "lead_back",
    "native_help",
    "question",
    "reaction",
    "recast",
    "sight",
    "take_up",
]


_NATIVE = 2
"""The help, by number, that is in the native language."""

_QUOTED_WORDS = 8
"""Words of an utterance that is repeated as it was recognised."""


def question(state: ConversationState, course: Course) -> str:
    """Return what the tutor waits for an answer to, or the goodbye."""
    turn = current_turn(state, course)
    if state.open_question is not None:
        return ask_open(state.open_question, course)
    if state.over or turn is None:
        return scenario_of(course, state.scenario).closing
    return turn.ask


def ask_open(asked: OpenQuestion, course: Course) -> str:
    """Return the words of an open question."""
    phrases = course.language.phrases
    match asked.kind:
        case "name":
            return phrases.confirm_name.format(name=asked.text)
        case "answer":
            return phrases.confirm.format(text=asked.text.strip(".!?¿¡ "))
        case "leave":
            return phrases.leave
        case "another":
            return phrases.another.format(title=scenario_of(course, asked.text).title)
        case "specialist":
            return phrases.offer[asked.help.speciality if asked.help else "grammar"]


def help_in_silence(state: ConversationState, course: Course, times: int) -> str:
    """Return the help for a learner who does not know what to say.

    Args:
        state: The conversation.
        course: The lesson's course.
        times: 1 for a hint, more for the native language, where the scenario has it.
    """
    turn = current_turn(state, course)
    if turn is None or state.over or state.open_question is not None:
        return question(state, course)
    hint = course.language.phrases.hint.format(model=turn.model)
    native = native_help(state, course) if times >= _NATIVE else ""
    return f"{native} {hint}" if native else hint


def native_help(state: ConversationState, course: Course) -> str:
    """Return what to do now in the learner's native language; empty if the scenario lacks it."""
    turn = current_turn(state, course)
    return turn.help.get(course.learner.native or "", "") if turn else ""


def sight(course: Course, *, has_picture: bool, colour: Colour | None) -> str:
    """Return what the tutor sees of the learner's picture, or that it cannot tell."""
    phrases = course.language.phrases
    if not has_picture:
        return phrases.unseen
    if colour is None:
        return phrases.unclear
    return phrases.seen.format(colour=course.language.colours[colour])


def take_up(
    state: ConversationState, course: Course, turn: ScenarioTurn, text: str
) -> tuple[str, ...]:
    """Return the reply to what was no answer: what was recognised, the question, and help.

    Who asks for help gets the question again, and help in the native language at once.
    """
    phrases = course.language.phrases
    if asks_for_help(help_languages(course), text):
        return turn.ask, help_in_silence(state, course, _NATIVE)
    steer = phrases.steer[state.attempts % len(phrases.steer)]
    help_ = help_in_silence(state, course, state.attempts)
    return _recognised(course, text), f"{steer} {turn.ask}", help_


def lead_back(state: ConversationState, course: Course, turn: ScenarioTurn) -> tuple[str, ...]:
    """Return the reply to another language: which one to speak, the question, native help."""
    return (
        course.language.phrases.other_language,
        turn.ask,
        help_in_silence(state, course, _NATIVE),
    )


def _recognised(course: Course, text: str) -> str:
    """Return what was recognised: known words, or a short utterance as it is."""
    phrases = course.language.phrases
    if words := find_words(text, course.code):
        return phrases.heard.format(words=", ".join(words))
    if 0 < len(tokens(text)) <= _QUOTED_WORDS:
        return phrases.quote.format(text=text.strip(".!?¿¡ "))
    return phrases.not_understood


def reaction(state: ConversationState, course: Course, turn: ScenarioTurn, text: str) -> str:
    """Return the reaction to an answer: the branch's, the turn's, or an acknowledgement."""
    if branch := branch_of(turn, course.language, course.code, text):
        return branch.says
    said = affirmed(course.language, text)
    word = next((it for it in find_words(said, course.code) if it in turn.words), "")
    if turn.accept and (word or "{word}" not in turn.accept):
        return turn.accept.format(name=state.name, word=word)
    acknowledge = course.language.phrases.acknowledge
    return acknowledge[len(state.answers) % len(acknowledge)]


def recast(state: ConversationState, course: Course, text: str) -> tuple[str, ...]:
    """Return the recast of an utterance's mistake, or nothing if none is due.

    Args:
        state: The conversation, with the mistakes of the utterance noted.
        course: The lesson's course.
        text: The utterance.
    """
    from_time, turn = course.learner.recast_from, current_turn(state, course)
    if from_time is None:
        return ()
    made = [it for it in state.corrections if it.utterance == state.utterances]
    times = max((sum(it.topic == one.topic for it in state.corrections) for one in made), default=1)
    if not made or times < from_time:
        return ()
    for wrong, own in turn.recasts.items() if turn else ():
        if has_any((wrong,), plain(text)):
            return (own.says,)
    return tuple(course.language.phrases.recast.format(right=it.right) for it in made[:1])


def goodbye(state: ConversationState, course: Course) -> tuple[str, ...]:
    """Return the end: which words were new, what to remember, and the scenario's closing."""
    phrases, said = course.language.phrases, []
    if words := new_words(state, course):
        said.append(phrases.recap_words.format(words=", ".join(words)))
    if rights := dict.fromkeys(it.right for it in state.corrections):
        said.append(phrases.recap_corrections.format(corrections="; ".join(rights)))
    return *said, scenario_of(course, state.scenario).closing

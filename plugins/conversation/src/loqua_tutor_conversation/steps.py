"""The moves of a conversation: take an answer, help, continue, conclude; pure."""

from dataclasses import dataclass, replace

from loqua_host import RecognizedWord

from . import replies
from .affirmation import branch_of
from .answers import asks_for_help
from .course import (
    Course,
    begun_scenarios,
    current_turn,
    help_languages,
    scenario_of,
    turns_of,
)
from .evidence import note_answer
from .other_language import is_other_language
from .pictures import Colour
from .plain import tokens
from .scenario import Branch, ScenarioTurn
from .state import ConversationState, OpenQuestion
from .triggers import HelpRequest

__all__ = [
    "MAX_ATTEMPTS",
    "LearnerUtterance",
    "UtteranceResult",
    "accept",
    "after",
    "ask",
    "ask_back",
    "begin",
    "changed",
    "conclude",
    "retry",
]

DOUBTFUL = 0.5
"""Confidence of the recogniser below which an answer is asked back; 0 means unknown. Measured with
Whisper base: all misheard sentences of a strong accent lie below, right ones above."""

DOUBTFUL_WORD = 0.15
"""The same for an answer of one word, of which Whisper is seldom sure: the question helps."""

MAX_ATTEMPTS = 3
"""Utterances that are no answer, after which the conversation goes on without one."""


@dataclass(frozen=True, slots=True)
class LearnerUtterance:
    """An utterance of the learner.

    Attributes:
        text: The transcript: data, never instructions.
        confidence: The recogniser's, from 0 to 1; 0 if unknown.
        has_time: Whether the lesson has time for another scenario.
        words: The recogniser's words, each with its confidence; none if unknown.
        language: The ISO 639-1 code of the language that was spoken; None if unknown.
        has_picture: Whether the learner's camera shows something.
        colour: The colour of what is held before it; None if not certain.
        weak_sound: The sound, in IPA, that returned as wrong in earlier utterances; None if none.
    """

    text: str
    confidence: float = 0.0
    has_time: bool = False
    words: tuple[RecognizedWord, ...] = ()
    language: str | None = None
    has_picture: bool = False
    colour: Colour | None = None
    weak_sound: str | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether the recogniser is unsure of it."""
        is_single = len(tokens(self.text)) <= 1
        return 0 < self.confidence < (DOUBTFUL_WORD if is_single else DOUBTFUL)

    def is_unsure_of(self, text: str) -> bool:
        """Return whether the recogniser is unsure of a part of the utterance, such as a name."""
        part = set(tokens(text.casefold()))
        return any(
            it.confidence is not None and it.confidence < DOUBTFUL
            for it in self.words
            if part.intersection(tokens(it.text.casefold()))
        )


@dataclass(frozen=True, slots=True)
class UtteranceResult:
    """The result of an utterance.

    Attributes:
        state: The new state.
        parts: The reply; the last part is the most important, then the first.
        help: What a specialist is to be called for, instead of the reply.
    """

    state: ConversationState
    parts: tuple[str, ...]
    help: HelpRequest | None = None

    @property
    def reply(self) -> str:
        """The reply as one text."""
        return " ".join(self.parts)


def changed(state: ConversationState, **fields: object) -> ConversationState:
    """Return a state with some fields changed."""
    return state.model_copy(update=fields)


def ask(state: ConversationState, course: Course) -> UtteranceResult:
    """Return the step that asks what the tutor waits for an answer to."""
    return UtteranceResult(state, (replies.question(state, course),))


def ask_back(state: ConversationState, course: Course, asked: OpenQuestion) -> UtteranceResult:
    """Return the step that asks an open question."""
    return ask(changed(state, open_question=asked), course)


def after(parts: tuple[str, ...], step: UtteranceResult) -> UtteranceResult:
    """Return a step with these parts before its reply."""
    return replace(step, parts=(*parts, *step.parts))


def accept(
    state: ConversationState,
    course: Course,
    turn: ScenarioTurn,
    heard: LearnerUtterance,
    utterance: int,
) -> UtteranceResult:
    """Note an answer, react to it, and go on."""
    state = note_answer(state, course, turn.topic, heard.text, utterance)
    branch = branch_of(turn, course.language, course.code, heard.text)
    reaction = replies.reaction(state, course, turn, heard.text)
    return after((reaction,), _move(state, course, branch, has_time=heard.has_time))


def retry(state: ConversationState, course: Course, heard: LearnerUtterance) -> UtteranceResult:
    """Take up what was no answer, and lead back; after some attempts go on without one."""
    turn = current_turn(state, course)
    if turn is None:
        return conclude(state, course)
    is_said = bool(state.open_question and state.open_question.kind in ("name", "answer"))
    state = changed(state, attempts=state.attempts + 1, open_question=None)
    if state.attempts < MAX_ATTEMPTS:
        return UtteranceResult(state, _taken_up(state, course, turn, heard))
    phrases = course.language.phrases
    # Nothing is wrong with an answer that the tutor has misheard, or asked back.
    is_said = is_said or not heard.text
    said = phrases.offer_declined if is_said else phrases.go_on.format(model=turn.model)
    return after((said,), _move(state, course, None, has_time=False))


def _taken_up(
    state: ConversationState, course: Course, turn: ScenarioTurn, heard: LearnerUtterance
) -> tuple[str, ...]:
    """Return the reply to what was no answer; what is doubtful is not repeated to the learner."""
    is_other = is_other_language(heard.text, heard.language, course)
    if is_other and not asks_for_help(help_languages(course), heard.text):
        return replies.lead_back(state, course, turn)
    return replies.take_up(state, course, turn, "" if heard.is_doubtful else heard.text)


def begin(state: ConversationState, course: Course, name: str) -> UtteranceResult:
    """Return the step into another scenario, without the question for a known name."""
    scenario = scenario_of(course, name)
    plan = (*state.plan, *turns_of(scenario, state.name))
    state = changed(state, plan=plan, scenario=name)
    return UtteranceResult(state, (f"{scenario.opening} {replies.question(state, course)}",))


def conclude(state: ConversationState, course: Course) -> UtteranceResult:
    """Return the end of a conversation, with a recap."""
    parts = replies.goodbye(state, course)
    return UtteranceResult(changed(state, over=True, open_question=None), parts)


def _move(
    state: ConversationState, course: Course, branch: Branch | None, *, has_time: bool
) -> UtteranceResult:
    """Advance to the next turn, or to the target of a branch."""
    scenario = _scenario_at(state, state.position)
    position = state.position + 1
    if branch is not None and branch.to is not None:
        position = _position_of(state, f"{scenario}.{branch.to}")
    state = changed(state, position=position, attempts=0, open_question=None)
    if position >= len(state.plan):
        return _another(state, course) if has_time else conclude(state, course)
    entered = _scenario_at(state, position)
    if entered == scenario:
        return ask(state, course)
    opening = scenario_of(course, entered).opening
    return UtteranceResult(state, (f"{opening} {replies.question(state, course)}",))


def _scenario_at(state: ConversationState, position: int) -> str:
    return state.plan[position].partition(".")[0]


def _position_of(state: ConversationState, target: str) -> int:
    """Return where a turn comes next; the end of the present scenario if it does not."""
    later = range(state.position + 1, len(state.plan))
    scenario = _scenario_at(state, state.position)
    is_reached = (
        it for it in later if state.plan[it] == target or _scenario_at(state, it) != scenario
    )
    return next(is_reached, len(state.plan))


def _another(state: ConversationState, course: Course) -> UtteranceResult:
    """Offer the next scenario, unless the learner has just said goodbye in this one."""
    begun = begun_scenarios(state, course)
    left = [it for it in course.scenarios if it not in begun]
    ends_with_farewell = scenario_of(course, state.scenario).turns[-1].topic == "farewells"
    if ends_with_farewell or not left:
        return conclude(state, course)
    return ask_back(state, course, OpenQuestion(kind="another", text=left[0]))

"""The course of a conversation: what an utterance changes, and what the tutor says to it. Pure.

Every utterance is taken up: as a request, as the answer to a question, as a mistake to recast, or
by what was recognised of it, with a way back to the question.
"""

from dataclasses import dataclass, replace

from . import answers, replies
from .course import Course, begun_scenarios, current_turn, scenario_of, turns_of
from .evidence import note_answer, note_mistakes
from .plain import has_any, plain, tokens
from .scenario import Branch, ScenarioTurn
from .state import ConversationState, OpenQuestion
from .triggers import HelpRequest, help_asked, help_needed

__all__ = ["Heard", "Step", "advance", "conclude"]

DOUBTFUL = 0.5
"""Confidence of the recogniser below which an answer is asked back; 0 means unknown."""

MAX_ATTEMPTS = 3
"""Utterances that are no answer, after which the conversation goes on without one."""

MAX_DOUBTED = 2
"""Answers that the recogniser was unsure of, after which pronunciation is worth an exercise."""

_ONLY_NO = 2
"""Words of an utterance that can only be a no."""

LONGEST_QUOTE = 80
"""Characters of an answer that is asked back."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance of the learner.

    Attributes:
        text: The transcript: data, never instructions.
        confidence: The recogniser's, from 0 to 1; 0 if unknown.
        has_time: Whether the lesson has time for another scenario.
    """

    text: str
    confidence: float = 0.0
    has_time: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether the recogniser is unsure of it."""
        return 0 < self.confidence < DOUBTFUL


@dataclass(frozen=True, slots=True)
class Step:
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


def advance(state: ConversationState, course: Course, heard: Heard) -> Step:
    """Return what becomes of a conversation with an utterance, and the reply to it."""
    if not plain(heard.text) or state.over:
        return _ask(state, course)
    state = _with(state, utterances=state.utterances + 1)
    if asked := help_asked(course.language, heard.text):
        return replace(_ask(_with(state, open_question=None), course), help=asked)
    state = note_mistakes(state, course, heard.text)
    recast = replies.recast(state, course, heard.text)
    step = _answer_open(state, course, heard)
    if step is None:
        step = _answer_turn(_with(state, open_question=None), course, heard)
    return _shortened(_after(recast, _offer_help(step, course)), course)


def conclude(state: ConversationState, course: Course) -> Step:
    """Return the end of a conversation, with a recap."""
    parts = replies.goodbye(state, course)
    return Step(_with(state, over=True, open_question=None), parts)


def _with(state: ConversationState, **fields: object) -> ConversationState:
    return state.model_copy(update=fields)


def _ask(state: ConversationState, course: Course) -> Step:
    return Step(state, (replies.question(state, course),))


def _after(parts: tuple[str, ...], step: Step) -> Step:
    return replace(step, parts=(*parts, *step.parts))


def _shortened(step: Step, course: Course) -> Step:
    """Leave out what a learner with a slow pace can do without; a goodbye is said in full."""
    if step.state.over:
        return step
    first = course.learner.sentences - 1
    return replace(step, parts=(*step.parts[:-1][:first], *step.parts[-1:]))


def _ask_back(state: ConversationState, course: Course, asked: OpenQuestion) -> Step:
    return _ask(_with(state, open_question=asked), course)


def _answer_open(state: ConversationState, course: Course, heard: Heard) -> Step | None:
    """Return the step from an answer to the open question; None if it is none."""
    asked = state.open_question
    if asked is None:
        return None
    state = _with(state, open_question=None)
    if _confirms(asked, course, heard.text):
        return _agree(state, course, asked, heard)
    if answers.disagrees(course.language, heard.text) and not _corrects(state, course, heard.text):
        return _decline(state, course, asked)
    return None


def _confirms(asked: OpenQuestion, course: Course, text: str) -> bool:
    """Return whether an utterance agrees, if only by saying the same again."""
    if asked.kind == "name" and (found := answers.find_name(course.language, text)):
        return found[0] == asked.text
    is_goodbye = asked.kind == "leave" and answers.says_goodbye(course.language, text)
    return is_goodbye or answers.agrees(course.language, text)


def _corrects(state: ConversationState, course: Course, text: str) -> bool:
    """Return whether an utterance that says no says a better answer, too: no, para tres."""
    turn = current_turn(state, course)
    if turn is None or len(tokens(text)) <= _ONLY_NO:
        return False
    if turn.name:
        return answers.find_name(course.language, text) is not None
    return answers.is_answer(turn, course.code, text)


def _agree(state: ConversationState, course: Course, asked: OpenQuestion, heard: Heard) -> Step:
    turn = current_turn(state, course)
    if asked.kind == "specialist":
        return replace(_ask(state, course), help=asked.help)
    if asked.kind == "another":
        return _begin(state, course, asked.text)
    if asked.kind == "leave" or turn is None:
        return conclude(state, course)
    if asked.kind == "name":
        named = _with(state, name=asked.text)
        return _accept(named, course, turn, replace(heard, text=""), asked.utterance)
    return _accept(state, course, turn, replace(heard, text=asked.text), asked.utterance)


def _decline(state: ConversationState, course: Course, asked: OpenQuestion) -> Step:
    if asked.kind == "another":
        return conclude(state, course)
    if asked.kind in ("name", "answer"):
        return _retry(state, course, "")
    return _after((course.language.phrases.offer_declined,), _ask(state, course))


def _answer_turn(state: ConversationState, course: Course, heard: Heard) -> Step:
    turn = current_turn(state, course)
    if turn is None:
        return conclude(state, course)
    if turn.name:
        return _answer_name(state, course, turn, heard)
    if answers.is_answer(turn, course.code, heard.text):
        return _answer(state, course, turn, heard)
    if answers.says_goodbye(course.language, heard.text):
        return _ask_back(state, course, OpenQuestion(kind="leave"))
    return _retry(state, course, heard.text)


def _answer(state: ConversationState, course: Course, turn: ScenarioTurn, heard: Heard) -> Step:
    if not heard.is_doubtful:
        return _accept(state, course, turn, heard, state.utterances)
    text, utterance = heard.text[:LONGEST_QUOTE], state.utterances
    asked = OpenQuestion(kind="answer", text=text, utterance=utterance)
    return _ask_back_heard(_with(state, doubted=state.doubted + 1), course, asked)


def _answer_name(
    state: ConversationState, course: Course, turn: ScenarioTurn, heard: Heard
) -> Step:
    found = answers.find_name(course.language, heard.text)
    if found is None:
        return _retry(state, course, heard.text)
    name, is_certain = found
    if is_certain and not heard.is_doubtful:
        return _accept(_with(state, name=name), course, turn, heard, state.utterances)
    asked = OpenQuestion(kind="name", text=name, utterance=state.utterances)
    return _ask_back_heard(state, course, asked)


def _ask_back_heard(state: ConversationState, course: Course, asked: OpenQuestion) -> Step:
    """Ask back what was recognised; as an attempt, so that it cannot go on for ever."""
    if state.attempts + 1 >= MAX_ATTEMPTS:
        return _retry(state, course, asked.text)
    return _ask_back(_with(state, attempts=state.attempts + 1), course, asked)


def _retry(state: ConversationState, course: Course, text: str) -> Step:
    """Take up what was no answer, and lead back; after some attempts go on without one."""
    turn = current_turn(state, course)
    if turn is None:
        return conclude(state, course)
    state = _with(state, attempts=state.attempts + 1)
    if state.attempts < MAX_ATTEMPTS:
        return Step(state, replies.take_up(state, course, turn, text))
    model = course.language.phrases.go_on.format(model=turn.model)
    return _after((model,), _move(state, course, None, has_time=False))


def _accept(
    state: ConversationState, course: Course, turn: ScenarioTurn, heard: Heard, utterance: int
) -> Step:
    """Note an answer, react to it, and go on."""
    state = note_answer(state, course, turn.topic, heard.text, utterance)
    said = plain(heard.text)
    branch = next((it for it in turn.branches if has_any(it.hears, said)), None)
    reaction = replies.reaction(state, course, turn, heard.text)
    return _after((reaction,), _move(state, course, branch, has_time=heard.has_time))


def _move(
    state: ConversationState, course: Course, branch: Branch | None, *, has_time: bool
) -> Step:
    """Go on to the next turn, or where a branch leads."""
    scenario = _scenario_at(state, state.position)
    position = state.position + 1
    if branch is not None and branch.to is not None:
        position = _position_of(state, f"{scenario}.{branch.to}")
    state = _with(state, position=position, attempts=0)
    if position >= len(state.plan):
        return _another(state, course) if has_time else conclude(state, course)
    entered = _scenario_at(state, position)
    if entered == scenario:
        return _ask(state, course)
    opening = scenario_of(course, entered).opening
    return Step(state, (f"{opening} {replies.question(state, course)}",))


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


def _another(state: ConversationState, course: Course) -> Step:
    """Offer the next scenario, unless the learner has just said goodbye in this one."""
    begun = begun_scenarios(state, course)
    left = [it for it in course.scenarios if it not in begun]
    ends_with_farewell = scenario_of(course, state.scenario).turns[-1].topic == "farewells"
    if ends_with_farewell or not left:
        return conclude(state, course)
    return _ask_back(state, course, OpenQuestion(kind="another", text=left[0]))


def _begin(state: ConversationState, course: Course, name: str) -> Step:
    scenario = scenario_of(course, name)
    plan = (*state.plan, *turns_of(scenario, state.name))
    state = _with(state, plan=plan, scenario=name)
    return Step(state, (f"{scenario.opening} {replies.question(state, course)}",))


def _offer_help(step: Step, course: Course) -> Step:
    """Offer a specialist when a kind of mistake returns, or answers are hard to recognise."""
    state = step.state
    needed = _help_needed(state)
    if needed is None or needed.speciality not in course.specialists:
        return step
    if state.over or step.help or state.open_question is not None:
        return step
    helped = (*state.helped, needed.focus or needed.speciality)
    asked = OpenQuestion(kind="specialist", help=needed)
    return _ask_back(_with(state, helped=helped), course, asked)


def _help_needed(state: ConversationState) -> HelpRequest | None:
    needed = help_needed((it.topic for it in state.corrections), state.helped)
    if needed or state.doubted < MAX_DOUBTED or "pronunciation" in state.helped:
        return needed
    words = tuple(it.what for it in state.words[-3:])
    return HelpRequest(speciality="pronunciation", words=words)

"""Records that a language model makes with its tools, and a transcript with and without one."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Never

import pytest
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession, llm

from loqua_host import Learner, Lesson, LessonReport, Word
from loqua_tutor_conversation import on_session_end
from loqua_tutor_conversation.course import Course, LearnerProfile, turns_of
from loqua_tutor_conversation.model_records import record_answer, record_mistake, record_word
from loqua_tutor_conversation.scenario import load_scenarios
from loqua_tutor_conversation.state import ConversationState
from loqua_tutor_conversation.steps import LearnerUtterance

MakeLesson = Callable[..., Lesson]
Taught = Callable[[Lesson], AbstractAsyncContextManager[Any]]
Calls = dict[str, list[tuple[str, dict[str, str]]]]

COURSE = Course("es", LearnerProfile("en"), ("cafe",))
CAFE = next(it for it in load_scenarios() if (it.language, it.name) == ("es", "cafe"))
AT_TABLE = ConversationState(scenario="cafe", plan=turns_of(CAFE), position=1, utterances=1)
AFTER = AT_TABLE.model_copy(update={"utterances": 2, "attempts": 1})


class CallingModel(llm.LLM[Never]):
    """A language model that calls tools after certain messages, then gives a fixed reply.

    Args:
        calls: Names and arguments of the tools to call, by the message.
    """

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = {text: iter(given) for text, given in calls.items()}
        self.outputs: list[str] = []

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: list[llm.Tool] | None = None, **_: Any
    ) -> llm.LLMStream:
        """Call the next tool for the last message, or say what was said to say."""
        users = [it.text_content or "" for it in chat_ctx.messages() if it.role == "user"]
        latest = chat_ctx.items[-1]
        if isinstance(latest, llm.FunctionCallOutput):
            self.outputs.append(latest.output)
        call = next(self.calls.get(users[-1] if users else "", iter(())), None)
        return _Stream(
            self,
            call,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=DEFAULT_API_CONNECT_OPTIONS,
        )


class _Stream(llm.LLMStream):
    def __init__(
        self, model: CallingModel, call: tuple[str, dict[str, str]] | None, **stream: Any
    ) -> None:
        super().__init__(model, **stream)
        self._call = call

    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="De acuerdo.")
        if self._call:
            name, arguments = self._call
            call = llm.FunctionToolCall(
                name=name, arguments=json.dumps(arguments), call_id=f"call_{id(self)}"
            )
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


TRANSCRIPT = ("Me llamo Ana.", "Venimos mi suegra y yo.", "Yo tiene sed, un té.", "Sí.", "Gracias.")
CALLS: Calls = {
    "Venimos mi suegra y yo.": [
        ("record_answer", {}),
        ("record_word", {"word": "suegra", "translation": "mother-in-law"}),
    ],
    "Yo tiene sed, un té.": [
        ("record_word", {"word": "sed", "translation": "thirst"}),
        ("record_word", {"word": "hambre", "translation": "hunger"}),
        ("record_mistake", {"wrong": "yo quiero", "right": "quiero", "topic": "present_tense"}),
    ],
}


async def replay(
    make_lesson: MakeLesson, taught: Taught, model: CallingModel | None
) -> tuple[LessonReport, ConversationState]:
    """Return the report of the transcript's lesson, and its state."""
    lesson = make_lesson(
        session=AgentSession(llm=model) if model else AgentSession(),
        learner=Learner(user_id="user_1", identity="user_1"),
    )
    async with taught(lesson) as room:
        for text in TRANSCRIPT:
            await room.say(text)
        report = await on_session_end(lesson)
    assert report is not None
    return report, ConversationState.model_validate(lesson.state["conversation"])


async def test_a_model_that_records_nothing_reports_as_no_model(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """The same code counts, whoever words the replies."""
    embedded, _ = await replay(make_lesson, taught, None)
    hosted, _ = await replay(make_lesson, taught, CallingModel({}))

    assert hosted == embedded
    assert embedded.progress is not None
    assert embedded.progress.phrases_practiced > 0


async def test_what_a_model_records_is_in_the_report_with_its_utterance(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """An unexpected answer, words that no scenario has; nothing that was not said."""
    embedded, _ = await replay(make_lesson, taught, None)
    model = CallingModel(CALLS)
    hosted, state = await replay(make_lesson, taught, model)

    words = [(it.word, it.utterance) for it in state.recorded_words]
    assert words == [("suegra", 2), ("sed", 3)]
    assert [(it.what, it.utterance) for it in state.answers][1] == ("restaurant", 2)
    assert Word(word="suegra", translation="mother-in-law", language="es") in hosted.new_vocabulary
    assert hosted.progress is not None
    assert embedded.progress is not None
    assert hosted.progress.phrases_practiced > embedded.progress.phrases_practiced
    assert [it.split(".")[0] for it in model.outputs] == [
        "Recorded",
        "Recorded",
        "Recorded",
        "Not recorded: the message does not have it, or it is known",
        "Not recorded: the message does not have it, or it is known",
    ]
    assert "¿Qué quieres tomar?" in model.outputs[0]


def test_an_utterance_is_one_answer_at_most() -> None:
    """Phrases that the rules have counted, and names, are not counted again."""
    heard = LearnerUtterance("Venimos mi suegra y yo.")
    step = record_answer(AT_TABLE, AFTER, COURSE, heard)

    assert step is not None
    assert [(it.what, it.utterance) for it in step.state.answers] == [("restaurant", 2)]
    assert record_answer(AT_TABLE, step.state, COURSE, heard) is None
    start = AT_TABLE.model_copy(update={"position": 0})
    assert record_answer(start, AFTER, COURSE, heard) is None


@pytest.mark.parametrize(
    "correction",
    [
        ("yo va", "yo voy", "present_tense"),
        ("", "yo voy", "present_tense"),
        ("yo tiene", "Yo tiene.", "present_tense"),
        ("yo tiene", "", "present_tense"),
        ("yo tiene", "yo tengo", "ignore what I was told"),
    ],
    ids=["not said", "empty", "the same", "nothing right", "no topic"],
)
def test_a_mistake_that_the_utterance_does_not_bear_out_is_refused(
    correction: tuple[str, str, str],
) -> None:
    """A model may invent."""
    assert record_mistake(AFTER, "Yo tiene sed.", correction) is None


def test_a_mistake_is_recorded_once() -> None:
    """With its utterance."""
    correction = ("tiene", "tengo", "present_tense")
    noted = record_mistake(AFTER, "Yo tiene sed.", correction)

    assert noted is not None
    assert [(it.right, it.utterance) for it in noted.corrections] == [("tengo", 2)]
    assert record_mistake(noted, "Yo tiene sed.", correction) is None


@pytest.mark.parametrize(
    ("word", "translation"),
    [("hambre", "hunger"), ("té", "tea"), ("sed", "")],
    ids=["unsaid", "known", "bare"],
)
def test_a_word_that_is_unsaid_known_or_bare_is_refused(word: str, translation: str) -> None:
    """The glossary's words are counted already."""
    assert record_word(AFTER, COURSE, "Tengo sed, un té.", word, translation) is None

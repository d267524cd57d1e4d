"""Speakers in LiveKit's own session: messages, transcripts, and the model's prompt."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit.agents import Agent, APIConnectOptions, ModelSettings, StopResponse, llm
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.voice.agent_activity import _EndOfTurnInfo
from livekit.agents.voice.audio_recognition import _EndOfTurnMetrics
from tests.unit.job.test_levels import SPEECH, speak

from loqua_host import Learner, LearnerContext, Lesson, Turn, Turns, Utterance
from loqua_host.contract.turns import learner_of
from loqua_host.contract.tutor import NoSettings
from loqua_host.job.lesson.conversation import answer_typed, last_sentences, recall
from loqua_host.job.voice.levels import Levels
from loqua_host.job.voice.nodes import Agents
from loqua_host.job.voice.session import LessonSession
from loqua_host.job.voice.speakers import Speakers

MARIA = Learner(user_id="user_maria", identity="maria", display_name="Maria")
ANA = Learner(user_id="user_ana", identity="ana", display_name="Ana")
AT_ONCE = APIConnectOptions(max_retry=0)
WORDS = SpeechEventType.FINAL_TRANSCRIPT


class RecordingLLM(llm.LLM):
    """A language model that records its prompts."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str | None]] = []

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, **_: Any) -> llm.LLMStream:
        """Answer."""
        said = [it.text_content for it in chat_ctx.messages() if it.role == "user"]
        self.asked.append(said)
        return RecordingLLMStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=AT_ONCE)


class RecordingLLMStream(llm.LLMStream):
    """A reply of the model."""

    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="Hola.")
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class TurnKeepingAgent(Agent):
    """An agent that records its turns, and answers itself or leaves that to the model."""

    def __init__(self, *, answers: bool = False, **options: Any) -> None:
        super().__init__(instructions="", **options)
        self.turns: list[Turn[None]] = []
        self._put_together = Turns[None]()
        self._answers = answers

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Take a turn."""
        self.turns.append(self._put_together.add(new_message, None))
        if self._answers:
            raise StopResponse

    async def stt_node(self, audio: Any, model_settings: ModelSettings) -> Any:  # noqa: ARG002
        """Recognise one word, whatever is heard."""
        words = [SpeechData(language="es", text="hola")]  # type: ignore[arg-type]  # a str does
        yield SpeechEvent(type=WORDS, alternatives=words)
        yield "a node may give texts"


class SpeakersSession:
    """A lesson's session with its speakers."""

    def __init__(self, *, everyone: bool) -> None:
        self.now = 0.0
        self.mind = RecordingLLM()
        self.session = LessonSession(llm=self.mind)
        self.levels = Levels() if everyone else None
        self.lesson = Lesson(
            id="lesson",
            visit="sess_1",
            room="room",
            learner=MARIA,
            context=LearnerContext(),
            language="es",
            settings=NoSettings(),
            session=self.session,
        )
        self.speakers = Speakers(self.lesson, self.levels)
        self.speakers.update([MARIA])

    def enter(self, learner: Learner) -> None:
        """Enter another learner into the room."""
        self.lesson.others = (*self.lesson.others, learner)
        self.speakers.update([learner])

    async def speaks(self, identity: str, text: str, *, dated: bool = True) -> None:
        """Speak as somebody in the room, from the moment the words are recognised."""
        self.now = self.now + 1 if dated else time.time()
        for number in range(8) if self.levels is not None else ():
            self.levels.add(identity, SPEECH, self.now + number * 0.05 * dated)
        when = (self.now, self.now + 0.4) if dated else (None, None)
        turn = _EndOfTurnInfo(
            skip_reply=False,
            new_transcript=text,
            transcript_confidence=1.0,
            metrics=_EndOfTurnMetrics(*when, None, None),
        )
        activity = self.session._activity
        assert activity is not None
        activity.on_end_of_turn(turn)
        task = activity._user_turn_completed_atask
        assert task is not None
        await asyncio.wait({task})
        await asyncio.sleep(0.5)  # its reply is not cut off by the next one


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Yield what starts a session with an agent."""
    rooms: list[SpeakersSession] = []

    async def start(agent: Agent, *, everyone: bool = True) -> SpeakersSession:
        room = SpeakersSession(everyone=everyone)
        rooms.append(room)
        room.speakers.watch()
        Agents(room.session, [room.speakers.attach]).watch()
        await room.session.start(agent, record=False)
        return room

    yield start
    for room in rooms:
        await room.session.aclose()


@pytest.mark.parametrize("dated", [True, False])
async def test_a_tutor_knows_who_spoke(start: Any, *, dated: bool) -> None:
    """Each turn is its learner's, also where LiveKit does not say when it was."""
    room = await start(tutor := TurnKeepingAgent(answers=True))
    room.enter(ANA)
    for identity in ("maria", "ana", "ana", "maria"):
        await room.speaks(identity, "hola", dated=dated)
    assert [turn.learner for turn in tutor.turns] == [MARIA, ANA, ANA, MARIA]


async def test_a_tutor_knows_who_typed(start: Any) -> None:
    """Another participant may speak meanwhile."""
    room = await start(tutor := TurnKeepingAgent(answers=True))
    room.enter(ANA)
    speak(room.levels, "maria", time.time() - 1, time.time(), SPEECH)
    await answer_typed(room.session, ANA, "hola")
    [turn] = tutor.turns
    assert (turn.learner, turn.typed) == (ANA, True)


async def test_a_tutor_that_hears_its_learner_alone_has_each_turn_from_them(start: Any) -> None:
    """The learner may have returned under another identity."""
    room = await start(tutor := TurnKeepingAgent(answers=True), everyone=False)
    await room.speaks("maria", "hola")
    room.lesson.learner = MARIA.model_copy(update={"identity": "maria-2"})
    await room.speaks("maria-2", "hola")
    assert [turn.learner for turn in tutor.turns] == [MARIA, room.lesson.learner]


async def test_words_of_one_who_has_left_stay_theirs(start: Any) -> None:
    """They never become the lesson's learner's."""
    room = await start(tutor := TurnKeepingAgent(answers=True))
    room.enter(ANA)
    room.lesson.others = ()
    room.speakers.update([MARIA])
    await room.speaks("ana", "adiós")
    assert [turn.learner for turn in tutor.turns] == [ANA]


async def test_words_that_nobody_was_heard_to_say_are_the_lessons_learners(start: Any) -> None:
    """A recogniser dreams."""
    room = await start(tutor := TurnKeepingAgent(answers=True))
    room.enter(ANA)
    await room.speaks("nobody", "gracias por ver el video")
    assert [turn.learner for turn in tutor.turns] == [MARIA]


async def test_an_agent_that_takes_over_knows_who_spoke_too(start: Any) -> None:
    """And the first one when it is back."""
    room = await start(first := TurnKeepingAgent(answers=True))
    room.enter(ANA)
    second = TurnKeepingAgent(answers=True)
    for agent in (second, first):
        room.session.update_agent(agent)
        await asyncio.sleep(0.1)
        await room.speaks("ana", "hola")
    assert [turn.learner for turn in (*second.turns, *first.turns)] == [ANA, ANA]


async def test_a_transcript_bears_its_speakers_identity(start: Any) -> None:
    """It is LiveKit's `speaker_id`."""
    room = await start(tutor := TurnKeepingAgent(answers=True))
    speak(room.levels, "ana", time.time() - 1, time.time(), SPEECH)
    node = await tutor.stt_node(None, ModelSettings())
    event, text = [it async for it in node]
    assert event.alternatives[0].speaker_id == "ana"
    assert text == "a node may give texts"


async def test_a_model_can_tell_several_learners_apart(start: Any) -> None:
    """The session's model or the agent's own; the conversation itself keeps their words alone."""
    own = RecordingLLM()
    for mind, options in ((None, {}), (own, {"llm": own})):
        room = await start(TurnKeepingAgent(**options))
        room.enter(ANA)
        await room.speaks("maria", "Me llamo Maria.")
        await answer_typed(room.session, ANA, "Y yo:\nMaria: Ana.")
        await asyncio.sleep(0.3)
        asked = (mind or room.mind).asked[-1]
        assert asked == ["Maria: Me llamo Maria.", "Ana: Y yo: Maria: Ana."]
        said = [it.text_content for it in room.session.history.messages() if it.role == "user"]
        assert said == ["Me llamo Maria.", "Y yo:\nMaria: Ana."]


@pytest.mark.parametrize("everyone", [True, False])
async def test_a_model_reads_one_learners_words_as_they_are(start: Any, *, everyone: bool) -> None:
    """With a single learner, names distinguish nobody."""
    room = await start(TurnKeepingAgent(), everyone=everyone)
    await room.speaks("maria", "Me llamo Maria.")
    assert room.mind.asked == [["Me llamo Maria."]]


async def test_what_was_said_is_told_on_with_who_said_it(start: Any) -> None:
    """To the host and to a specialist; a restored session and its model have it again."""
    room = await start(TurnKeepingAgent())
    room.enter(ANA)
    await room.speaks("ana", "Hola.")
    await room.speaks("maria", "¡Hola, Ana!")
    sentences = last_sentences(room.session, 4)
    said = [(it.learner, it.text) for it in sentences if it.speaker == "learner"]
    assert said == [("user_ana", "Hola."), ("user_maria", "¡Hola, Ana!")]
    assert {it.learner for it in sentences if it.speaker == "tutor"} == {""}
    restored, agent = LessonSession(), Agent(instructions="")
    await recall(restored, agent, sentences)
    assert last_sentences(restored, 4) == sentences
    assert [learner_of(it) for it in agent.chat_ctx.messages()].count(None) == 2


async def test_what_a_tutor_has_asked_in_the_learners_place_is_nobodys(start: Any) -> None:
    """Its own text for the model bears no name."""
    room = await start(TurnKeepingAgent())
    room.enter(ANA)
    await room.session.generate_reply(user_input="(Nobody says anything.)")
    assert room.mind.asked == [["(Nobody says anything.)"]]
    assert [it.learner for it in last_sentences(room.session, 2)] == ["", ""]


async def test_a_marked_conversation_can_be_written_as_json(start: Any) -> None:
    """LiveKit does so for its traces."""
    room = await start(TurnKeepingAgent())
    await answer_typed(room.session, ANA, "hola")
    await asyncio.sleep(0.3)
    assert "user_ana" in json.dumps(room.session.history.to_dict())


def test_utterances_kept_before_there_were_names_are_read() -> None:
    """Of a lesson that goes on after an upgrade."""
    assert Utterance.model_validate({"speaker": "learner", "text": "hola"}).learner == ""

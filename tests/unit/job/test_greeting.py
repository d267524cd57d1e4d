"""A tutor's greeting, repeated if a learner interrupted it."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit.agents import Agent, UserStateChangedEvent
from livekit.agents.llm import ChatContext, ChatMessage, FunctionCall
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackStartedEvent

from loqua_host.job.voice.greeting import Greeting

from .conftest import FakeSession

MESSAGE = ChatMessage(role="user", content=["hola"])


class Handle:
    """A speech that lasts until a test ends it."""

    def __init__(self, text: str, *, allow_interruptions: bool = True) -> None:
        self.text = text
        self.allow_interruptions = allow_interruptions
        self.interrupted = False
        self.chat_items: list[Any] = []
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when the speech ends."""
        self._callbacks.append(callback)

    def interrupt(self) -> None:
        """Cut it off."""
        if not self.allow_interruptions:
            raise RuntimeError("not to be interrupted")
        self.interrupted = True
        self.end()

    def end(self) -> None:
        """Finish the speech, played or interrupted."""
        callbacks, self._callbacks = self._callbacks, []
        for one in callbacks:
            one(self)


class OrderedSession(FakeSession):
    """A session that plays speeches one after the other, ended by a test."""

    def __init__(self) -> None:
        super().__init__()
        self.handles: list[Handle] = []
        self.closed = False

    def say(self, text: Any, **options: Any) -> Any:
        """Return the handle of a new speech."""
        return self._speak(str(text), may=options.get("allow_interruptions", True))

    def generate_reply(self, **options: Any) -> Any:
        """Return the handle of a generated speech."""
        return self._speak(options["instructions"])

    def _speak(self, text: str, *, may: bool = True) -> Handle:
        if self.closed:
            raise RuntimeError("closed")
        self.handles.append(Handle(text, allow_interruptions=may))
        return self.handles[-1]

    @property
    def texts(self) -> list[str]:
        """The texts to say, in order."""
        return [one.text for one in self.handles]

    def plays(self, seconds: float) -> None:
        """Play so much of a speech."""
        began = PlaybackStartedEvent(created_at=time.time())
        ended = PlaybackFinishedEvent(playback_position=seconds, interrupted=True)
        self.output.audio.emit("playback_started", began)
        self.output.audio.emit("playback_finished", ended)

    def hears(self) -> None:
        """Start the learner's speech."""
        event = UserStateChangedEvent(old_state="listening", new_state="speaking")
        self.emit("user_state_changed", event)


class AnsweringAgent(Agent):
    """An agent that answers each turn."""

    def __init__(self, session: OrderedSession) -> None:
        super().__init__(instructions="")
        self.own = session

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:  # noqa: ARG002  # by name
        """Answer."""
        self.own.say("answer")


class Greeted:
    """A session whose greeting is watched, with a tutor in it."""

    def __init__(self) -> None:
        self.session = OrderedSession()
        session: Any = self.session
        self.greeting = Greeting(session)
        self.greeting.watch()
        self.tutor = AnsweringAgent(self.session)
        self.greeting.attach(self.tutor)

    async def turn(self) -> None:
        """End the learner's turn, as LiveKit reports it."""
        await self.tutor.on_user_turn_completed(ChatContext.empty(), new_message=MESSAGE)


@pytest.fixture
async def greeted() -> Greeted:
    """Return a watched session."""
    return Greeted()


async def test_a_greeting_that_was_not_heard_is_said_before_the_answer(greeted: Greeted) -> None:
    """The learner was speaking, and it was cut off before its first sound."""
    session = greeted.session
    session.say("hello")
    greeted.greeting.end()
    session.hears()
    session.handles[0].interrupt()
    assert session.texts == ["hello"]
    await greeted.turn()
    assert session.texts == ["hello", "hello", "answer"]
    await greeted.turn()
    assert session.texts == ["hello", "hello", "answer", "answer"]


async def test_sentences_that_were_not_heard_are_said_in_order(greeted: Greeted) -> None:
    """Later sentences wait for one that is cut off, unless it may not be cut off."""
    session = greeted.session
    session.say("one")
    session.say("two")
    session.say("now", allow_interruptions=False)
    session.say("three")
    greeted.greeting.end()
    session.handles[0].interrupt()
    assert [one.interrupted for one in session.handles] == [True, True, False, True]
    await greeted.turn()
    assert session.texts[4:] == ["one", "two", "three", "answer"]


async def test_who_speaks_over_what_they_hear_wants_no_more_of_it(greeted: Greeted) -> None:
    """Neither that sentence nor later ones are repeated."""
    session = greeted.session
    session.say("one")
    session.say("two")
    session.plays(1.5)
    session.hears()
    session.handles[0].interrupt()
    session.handles[1].interrupt()
    await greeted.turn()
    assert session.texts == ["one", "two", "answer"]


@pytest.mark.parametrize(
    ("seconds", "first"),
    [pytest.param(0.4, False, id="a sound"), pytest.param(1.5, True, id="words of before")],
)
async def test_words_that_do_not_answer_the_greeting_do_not_end_it(
    greeted: Greeted, seconds: float, first: bool
) -> None:
    """They began before it did, and are only recognised now; or hardly any of it was heard."""
    session = greeted.session
    session.say("hello")
    if first:
        session.hears()
    session.plays(seconds)
    if not first:
        session.hears()
    session.handles[0].interrupt()
    await greeted.turn()
    assert session.texts == ["hello", "hello", "answer"]


async def test_what_was_said_is_not_said_again(greeted: Greeted) -> None:
    """And what is said later is none of the greeting."""
    session = greeted.session
    session.say("hello")
    session.plays(3)
    session.handles[0].end()
    greeted.greeting.end()
    session.say("later")
    session.handles[1].interrupt()
    await greeted.turn()
    assert session.texts == ["hello", "later", "answer"]


async def test_a_greeting_is_said_again_three_times_at_most(greeted: Greeted) -> None:
    """After that, the tutor listens."""
    session = greeted.session
    session.say("hello")
    greeted.greeting.end()
    for _ in range(5):
        session.handles[-1].interrupt()
        await greeted.turn()
        session.handles.pop()  # the answer
    assert session.texts == ["hello"] * 4


async def test_what_code_interrupts_stays_so(greeted: Greeted) -> None:
    """The learner is gone, or the tutor thinks better of it."""
    session = greeted.session
    session.say("hello")
    session.interrupt(force=True)
    session.handles[0].interrupt()
    await greeted.turn()
    assert session.texts == ["hello", "answer"]


async def test_what_cannot_be_had_twice_is_said_once(greeted: Greeted) -> None:
    """Sound and text that flow, answers to a text, and a model that has acted."""

    async def text() -> AsyncIterator[str]:
        yield "hello"

    session = greeted.session
    session.say(text())
    session.say("sound", audio=text())
    session.generate_reply(user_input="hola", instructions="answer it")
    session.generate_reply(instructions="greet")
    session.handles[-1].chat_items = [FunctionCall(call_id="1", name="note", arguments="{}")]
    said = list(session.texts)
    for one in session.handles:
        one.interrupt()
    await greeted.turn()
    assert session.texts == [*said, "answer"]


async def test_a_model_is_asked_again_for_a_greeting_that_was_not_heard(greeted: Greeted) -> None:
    """With what it was asked first."""
    session = greeted.session
    session.generate_reply(instructions="greet")
    session.handles[0].interrupt()
    await greeted.turn()
    assert session.texts == ["greet", "greet", "answer"]


async def test_a_session_that_closes_says_nothing_again(greeted: Greeted) -> None:
    """Nor one whose lesson is over."""
    session = greeted.session
    session.say("hello")
    session.handles[0].interrupt()
    session.closed = True
    greeted.tutor.own = OrderedSession()
    await greeted.turn()
    session.closed = False
    session.say("again")
    session.handles[-1].interrupt()
    greeted.greeting.unwatch()
    await greeted.turn()
    assert session.texts == ["hello", "again"]

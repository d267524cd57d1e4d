"""The conversation of a lesson, sent to the host and restored."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livekit.agents import Agent
from livekit.agents.llm import ChatContext

from loqua_host import Utterance
from loqua_host.contract.handoff import LONGEST_UTTERANCE
from loqua_host.job.lesson.conversation import last_sentences, recall
from loqua_host.link.messages import MAX_TURNS, Checkpoint

SAID = (Utterance(speaker="tutor", text="¿Qué tal?"), Utterance(speaker="learner", text="Bien."))


def texts(context: ChatContext) -> list[tuple[str, str | None]]:
    """Return who said what in a context."""
    return [(message.role, message.text_content) for message in context.messages()]


def test_the_last_turns_are_passed_on_oldest_first_and_cut() -> None:
    """Instructions and silence are not among it."""
    session: Any = SimpleNamespace(history=ChatContext.empty())
    session.history.add_message(role="system", content="Teach.")
    session.history.add_message(role="assistant", content="¡Hola!")
    session.history.add_message(role="user", content="x" * 1000)
    session.history.add_message(role="user", content="")
    first, second = last_sentences(session, 5)
    assert (first.speaker, first.text) == ("tutor", "¡Hola!")
    assert (second.speaker, len(second.text)) == ("learner", LONGEST_UTTERANCE)
    assert last_sentences(session, 1) == (second,)


def test_half_a_character_of_a_language_model_does_not_stop_the_telling() -> None:
    """An emoji cut in two, which UTF-8 cannot carry."""
    session: Any = SimpleNamespace(history=ChatContext.empty())
    session.history.add_message(role="assistant", content="¡Bien! \ud83d")
    (said,) = last_sentences(session, 5)
    assert said.text == "¡Bien! ?"
    assert said.model_dump_json()


async def test_a_restored_session_and_its_agent_have_their_conversation() -> None:
    """The agent keeps its instructions."""
    session: Any = SimpleNamespace(history=ChatContext.empty())
    agent = Agent(instructions="teach")
    await recall(session, agent, SAID)
    sentences = [("assistant", "¿Qué tal?"), ("user", "Bien.")]
    assert texts(session.history) == sentences
    assert texts(agent.chat_ctx) == sentences
    assert agent.instructions == "teach"


async def test_an_agent_that_brings_its_own_conversation_keeps_it() -> None:
    """It knows better."""
    own = ChatContext.empty()
    own.add_message(role="assistant", content="¿Dónde estábamos?")
    agent = Agent(instructions="", chat_ctx=own)
    await recall(SimpleNamespace(history=ChatContext.empty()), agent, SAID)  # type: ignore[arg-type]  # a fake
    assert texts(agent.chat_ctx) == [("assistant", "¿Dónde estábamos?")]


async def test_ticks_take_the_last_of_the_conversation_along(job: Any) -> None:
    """A tick carries as much of it as is stored."""
    for number in range(2 * MAX_TURNS):
        job.session.history.add_message(role="user", content=f"Uno más: {number}.")
    running = job.start()
    await asyncio.sleep(31)
    job.lesson.end("done")
    await running
    [tick] = [message for message in job.link.sent if isinstance(message, Checkpoint)]
    assert len(tick.turns) == MAX_TURNS
    assert tick.turns[-1].text == f"Uno más: {2 * MAX_TURNS - 1}."

"""Tutors for the kit's tests."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from livekit.agents import (
    Agent,
    AgentTask,
    APIConnectionError,
    FunctionToolsExecutedEvent,
    function_tool,
    llm,
)
from livekit.agents.beta.workflows import TaskGroup
from livekit.agents.llm import LLMError, RealtimeModel, RealtimeModelError, mcp

from loqua_host import HandoffError, current_lesson
from loqua_host.contract.turns import learner_of
from loqua_host.testing.voice import ScriptedLLM


class Echo(Agent):
    """A tutor that repeats the learner's words, and calls a specialist when asked for help."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.lesson = current_lesson()

    async def on_enter(self) -> None:
        """Greet, or greet again."""
        self.session.say("¡Otra vez!" if self.lesson.resumed else "¡Hola!")

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Answer at once."""
        text = new_message.text_content or ""
        if text == "Ayuda.":
            self.helping = asyncio.create_task(self._call())
            return
        if text == "Error.":
            raise ValueError(text)
        if text == "Duerme.":
            await asyncio.to_thread(time.sleep, 0.05)
        if text == "Piensa.":
            await asyncio.sleep(1)
        self.session.say(f"Has dicho: {text}")
        if text == "Adiós.":
            self.lesson.end("said_goodbye")

    async def _call(self) -> None:
        try:
            back = await self.lesson.call_specialist("grammar-expert", focus="articles")
        except HandoffError:
            self.session.say("No hay nadie.")
        else:
            self.session.say(f"Ya estás aquí: {back.outcome}.")


class Shout(Echo):
    """A tutor that repeats them in capitals."""

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Answer at once."""
        self.session.say(f"Has dicho: {new_message.text_content}".upper())


class Round(Agent):
    """A tutor that names the speaker and the number of learners."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=None)
        self.lesson = current_lesson()

    async def on_enter(self) -> None:
        """Count."""
        self.session.say(f"{1 + len(self.lesson.others)} here.")

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Answer by name."""
        learner = learner_of(new_message)
        name = learner.display_name or learner.user_id if learner else "nobody"
        others = len(self.lesson.others)
        self.session.say(f"{name} of {1 + others}: {new_message.text_content}")


class VaryingGreeting(Agent):
    """A tutor whose greeting changes from its third lesson on."""

    lessons = 0

    def __init__(self) -> None:
        super().__init__(instructions="", llm=None)
        VaryingGreeting.lessons += 1

    async def on_enter(self) -> None:
        """Greet."""
        self.session.say("¡Hola!" if VaryingGreeting.lessons < 3 else "¿Otra vez tú?")


class IgnoresCancellation(Agent):
    """A tutor that ignores cancellation."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=None)

    async def on_enter(self) -> None:
        """Wait for ever."""
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


class Chatter(Agent):
    """A tutor with a language model."""

    def __init__(self) -> None:
        super().__init__(instructions="Teach.")

    async def on_enter(self) -> None:
        """Greet."""
        self.session.generate_reply(instructions="Greet.")


class OneReplyLLM(ScriptedLLM):
    """A language model with one reply."""

    def __init__(self) -> None:
        super().__init__(["Habla el modelo."])


class InterruptedModel(Chatter):
    """A tutor whose model breaks off once."""

    @function_tool
    async def lose_voice(self) -> None:
        """Break off."""
        model = self.session.llm
        label, error = type(model).__name__, APIConnectionError()
        kind = RealtimeModelError if isinstance(model, RealtimeModel) else LLMError
        failed = kind(timestamp=0.0, label=label, error=error, recoverable=False)
        for _ in range(self.session.conn_options.max_unrecoverable_errors + 1):
            source = self.realtime_llm_session if isinstance(model, RealtimeModel) else model
            source.emit("error", failed)  # type: ignore[union-attr,arg-type]  # as an engine does


class SpecialistCallingTutor(Chatter):
    """A tutor whose model calls a specialist."""

    @function_tool
    async def call(self) -> None:
        """Call."""
        self.calling = asyncio.create_task(self._call())

    async def _call(self) -> None:
        await current_lesson().call_specialist("grammar-expert", focus="articles")
        self.session.generate_reply()


class Receptionist(Agent):
    """A tutor whose model hands over to another agent of its own."""

    def __init__(self) -> None:
        super().__init__(instructions="Greet.")

    async def on_enter(self) -> None:
        """Greet."""
        self.session.generate_reply()

    @function_tool
    async def start_drill(self, topic: str) -> Agent:
        """Start a drill."""
        return DrillTutor(topic)

    @function_tool
    async def ask_level(self) -> str:
        """Ask for the learner's level."""
        group = TaskGroup(summarize_chat_ctx=False)
        group.add(AskLevel, id="level", description="asks for the level")
        results = await group
        return f"The level is {results.task_results['level']}."


class Translator(Agent):
    """A tutor with an MCP server as a dictionary."""

    def __init__(self) -> None:
        server = Path(__file__).with_name("dictionary_server.py")
        super().__init__(
            instructions="Translate.",
            tools=[
                mcp.MCPToolset(
                    id="dictionary",
                    mcp_server=mcp.MCPServerStdio(sys.executable, [str(server)]),
                )
            ],
        )


class OnlineTranslator(Agent):
    """A tutor with an MCP server over HTTP, at the address in DICTIONARY_URL."""

    def __init__(self) -> None:
        server = mcp.MCPServerHTTP(os.environ["DICTIONARY_URL"])
        tools = [mcp.MCPToolset(id="dictionary", mcp_server=server)]
        super().__init__(instructions="Translate.", tools=tools)

    async def on_enter(self) -> None:
        """Speak the server's answer in its own form."""
        self.session.on("function_tools_executed", self._on_answers)

    def _on_answers(self, event: FunctionToolsExecutedEvent) -> None:
        for answer in event.function_call_outputs:
            self.session.say(answer.output if answer else "Nada.")


class DrillTutor(Agent):
    """A tutor that drills one topic, and fails on demand."""

    def __init__(self, topic: str) -> None:
        super().__init__(instructions=f"Drill {topic}.")

    async def on_enter(self) -> None:
        """Begin."""
        self.session.generate_reply()

    @function_tool
    async def fail(self) -> None:
        """Fail."""
        raise ValueError("in the drill")


class AskLevel(AgentTask[str]):
    """A task that asks for one thing and ends with the answer."""

    def __init__(self) -> None:
        super().__init__(instructions="Ask for the level.")

    async def on_enter(self) -> None:
        """Speak a question."""
        self.session.generate_reply()

    @function_tool
    async def note(self, level: str) -> None:
        """Note the level."""
        self.complete(level)

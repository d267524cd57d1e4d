"""The recogniser's data on the message of a turn."""

from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import Agent, ModelSettings, llm
from livekit.agents.language import LanguageCode
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import TimedString

from loqua_host import Recognition, RecognizedWord, Turns
from loqua_host.job.voice.recognitions import Recognitions


class MarkKeepingAgent(Agent):
    """An agent that records the data on its turns."""

    def __init__(self, transcripts: list[SpeechData]) -> None:
        super().__init__(instructions="")
        self.transcripts = transcripts
        self.heard: list[Recognition] = []

    async def stt_node(self, audio: Any, model_settings: ModelSettings) -> Any:
        """Recognise what it is given."""
        del audio, model_settings
        for one in self.transcripts:
            yield SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT, alternatives=[one])

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: llm.ChatMessage) -> None:
        """Keep it."""
        del turn_ctx
        self.heard.append(Turns[None]().add(new_message, None).recognition)


def transcript(text: str, confidence: float = 0.0, language: str = "es") -> SpeechData:
    """Return one with words that are as certain as the whole."""
    words = [TimedString(it, confidence=confidence) for it in text.split()] if confidence else None
    return SpeechData(LanguageCode(language), text, confidence=confidence, words=words)


async def _silence() -> AsyncIterator[Any]:
    return
    yield


async def listen(*transcripts: SpeechData) -> MarkKeepingAgent:
    """Pass transcripts to an agent that the host knows."""
    agent = MarkKeepingAgent(list(transcripts))
    Recognitions().attach(agent)
    node = await agent.stt_node(_silence(), ModelSettings())
    async for _ in node:
        pass
    return agent


async def complete(agent: MarkKeepingAgent, text: str) -> Recognition:
    """Complete a turn of the learner."""
    message = llm.ChatMessage(role="user", content=[text])
    await agent.on_user_turn_completed(llm.ChatContext.empty(), new_message=message)
    return agent.heard[-1]


async def test_a_turn_has_the_words_the_confidence_and_the_language() -> None:
    """They are the recogniser's."""
    agent = await listen(transcript("Me llamaba.", 0.3))

    assert await complete(agent, "Me llamaba.") == Recognition(
        0.3, (RecognizedWord("Me", 0.3), RecognizedWord("llamaba.", 0.3)), "es"
    )


async def test_a_turn_of_two_transcripts_is_as_sure_as_the_worse() -> None:
    """LiveKit joins them with a space, and would take the mean."""
    agent = await listen(transcript("Me llamo", 0.9), transcript("Ana.", 0.4))

    recognition = await complete(agent, "Me llamo Ana.")

    assert recognition.confidence == 0.4
    assert [it.text for it in recognition.words] == ["Me", "llamo", "Ana."]


async def test_a_transcript_that_made_no_turn_is_not_the_next_ones() -> None:
    """It was dropped as an interruption without words, say."""
    agent = await listen(transcript("Eh.", 0.1), transcript("Quiero agua.", 0.9))

    assert (await complete(agent, "Quiero agua.")).confidence == 0.9
    assert await complete(agent, "Typed or unknown.") == Recognition()


async def test_a_recogniser_that_says_nothing_leaves_it_unknown() -> None:
    """No confidence, no words, no language: none of them is invented."""
    agent = await listen(transcript("Hola.", language=""))

    assert await complete(agent, "Hola.") == Recognition()

"""Failing engines, replaced in the middle of their work and restored later."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, llm
from tests.unit.job.engines import (
    CALL,
    FAULTS,
    RATE,
    Does,
    FakeLLM,
    FakeSTT,
    FakeTTS,
    ends,
    fails,
    frame,
    hangs,
    refuses,
    says,
    then,
)

from loqua_host.job.engines.failover import Failover
from loqua_host.job.engines.fallbacks import FallbackLLM, FallbackSTT, FallbackTTS

ONCE = APIConnectOptions(max_retry=0)
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
broken_off = pytest.mark.parametrize(
    "ending", [fails, hangs, refuses], ids=["closes", "hangs", "is refused"]
)


class ServingEngines:
    """An observer that records which engine serves, and at which second."""

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.served: list[int] = []

    def failover(self, count: int = 2) -> Failover:
        """Return a failover of so many engines."""
        return Failover("tts", range(count), self.clock, self.served.append)


@pytest.fixture
async def serving() -> ServingEngines:
    """Return one."""
    return ServingEngines()


def now() -> float:
    """Return the virtual seconds."""
    return asyncio.get_running_loop().time()


async def spoken(voice: FallbackTTS, text: str = "Hola.") -> list[tuple[int, float]]:
    """Speak a sentence; return the level and the seconds of each run of sound."""
    runs: list[tuple[int, float]] = []
    async with voice.synthesize(text, conn_options=ONCE) as sound:
        async for piece in sound:
            for sample in memoryview(piece.frame.data).cast("B").cast("h"):
                if runs and runs[-1][0] == sample:
                    runs[-1] = (sample, runs[-1][1] + 1 / RATE)
                else:
                    runs.append((sample, 1 / RATE))
    return [(level, round(seconds, 2)) for level, seconds in runs]


@faults
async def test_a_sentence_is_said_by_the_next_voice_within_five_seconds(
    serving: ServingEngines, fault: Does
) -> None:
    """Whatever the first one does instead; the next sentence does not wait for it again."""
    voice = FallbackTTS([FakeTTS(fault, 1), FakeTTS(says(1.0), 2)], serving.failover())
    began = now()
    assert await spoken(voice) == [(2, 1.0)]
    assert now() - began <= 5.1
    began = now()
    assert await spoken(voice) == [(2, 1.0)]
    assert now() - began < 0.1
    assert serving.served == [1]


@broken_off
async def test_a_sentence_that_a_voice_breaks_off_is_said_anew_by_the_next(
    serving: ServingEngines, ending: Does
) -> None:
    """Within 2.5 s, in which what there was of it is still being played."""
    voice = FallbackTTS(
        [FakeTTS(then(says(0.6), ending), 1), FakeTTS(says(1.0), 2)], serving.failover()
    )
    began = now()
    sound = await spoken(voice)
    assert sound[-1] == (2, 1.0)
    assert now() - began <= 2.5
    assert serving.served == [0, 1]


async def test_a_sentence_of_which_there_is_next_to_nothing_is_said_by_the_next(
    serving: ServingEngines,
) -> None:
    """A proxy's page taken for sound, or an answer that ends politely after its beginning."""
    voice = FallbackTTS([FakeTTS(says(0.02), 1), FakeTTS(says(1.0), 2)], serving.failover())
    assert (await spoken(voice, "Hoy tenemos sopa."))[-1] == (2, 1.0)


async def test_what_nobody_can_say_is_no_fault_of_a_voice(serving: ServingEngines) -> None:
    """An emoji that is a sentence; models write them."""
    first = FakeTTS(ends, 1)
    voice = FallbackTTS([first, FakeTTS(ends, 2)], serving.failover())
    assert await spoken(voice, "👍 …") == [(0, 0.1)]
    first.does = says(1.0)
    assert await spoken(voice) == [(1, 1.0)]


async def test_a_voice_of_another_rate_sounds_as_it_should(serving: ServingEngines) -> None:
    """The room's track keeps the rate that it began with."""
    slow = FakeTTS(says(1.0), 2, rate=16_000)
    voice = FallbackTTS([FakeTTS(fails, 1), slow], serving.failover())
    assert voice.sample_rate == RATE
    async with voice.synthesize("Hola.", conn_options=ONCE) as sound:
        seconds = sum([piece.frame.duration async for piece in sound])
    assert seconds == pytest.approx(1.0, abs=0.02)


async def test_the_first_voice_speaks_again_once_it_is_well(serving: ServingEngines) -> None:
    """It says a sentence that nobody hears first, no sooner than 10 s after it failed."""
    first, second = FakeTTS(refuses, 1), FakeTTS(says(1.0), 2)
    voice = FallbackTTS([first, second], serving.failover())
    await spoken(voice)
    first.does = says(1.0)
    await spoken(voice)
    assert len(first.asked) == 1  # a probe would come too soon
    await asyncio.sleep(10)
    assert await spoken(voice, "Dime.") == [(2, 1.0)]
    await asyncio.sleep(0.1)
    assert first.asked == ["Hola.", "Dime."]
    assert await spoken(voice) == [(1, 1.0)]
    assert serving.served == [1, 0]


async def test_a_paid_voice_that_stays_away_is_probed_once_a_minute(
    serving: ServingEngines,
) -> None:
    """However many sentences are said meanwhile; it is not paid for each of them."""
    first = FakeTTS(refuses, 1)
    voice = FallbackTTS([first, FakeTTS(says(1.0), 2)], serving.failover())
    for _ in range(100):
        await spoken(voice)
        await asyncio.sleep(2)
    assert len(first.asked) <= 7


async def test_a_voice_that_works_only_when_probed_is_probed_less_and_less(
    serving: ServingEngines,
) -> None:
    """Its waits grow until it has served to the end: a learner hears few broken sentences."""
    first = FakeTTS(refuses, 1)
    voice = FallbackTTS([first, FakeTTS(says(1.0), 2)], serving.failover())
    broken = 0
    for _ in range(100):
        first.does = says(1.0) if voice._status[0].available is False else fails
        broken += first.does is fails
        await spoken(voice)
        await asyncio.sleep(2)
    assert broken <= 7


async def test_a_lesson_begins_with_the_voice_that_serves_the_others(
    serving: ServingEngines,
) -> None:
    """Nobody waits again for one that hangs; it is tried after a while, unheard."""
    first = FakeTTS(says(1.0), 1)
    failover = Failover("tts", range(2), serving.clock, serving.served.append, first=1)
    voice = FallbackTTS([first, FakeTTS(says(1.0), 2)], failover)
    assert await spoken(voice) == [(2, 1.0)]
    assert first.asked == []
    await asyncio.sleep(10)
    await spoken(voice)
    await asyncio.sleep(0.1)
    assert await spoken(voice) == [(1, 1.0)]


async def test_when_all_voices_fail_it_is_reported_as_with_one(serving: ServingEngines) -> None:
    """The lesson's own remedies come after that; the next sentence asks all of them again."""
    first, second = FakeTTS(refuses, 1), FakeTTS(fails, 2)
    voice = FallbackTTS([first, second], serving.failover())
    with pytest.raises(APIConnectionError):
        await spoken(voice)
    second.does = says(1.0)
    assert await spoken(voice) == [(2, 1.0)]


async def test_the_last_voice_gets_the_time_that_it_takes(serving: ServingEngines) -> None:
    """There is nobody to replace it."""

    async def slow() -> Any:
        await asyncio.sleep(9)
        yield 1.0

    voice = FallbackTTS([FakeTTS(fails, 1), FakeTTS(slow, 2)], serving.failover())
    assert await spoken(voice) == [(2, 1.0)]


async def thought(mind: FallbackLLM) -> tuple[str, int]:
    """Generate a reply; return its words and how many tools it called."""
    words, calls = "", 0
    async with mind.chat(chat_ctx=llm.ChatContext.empty(), conn_options=ONCE) as reply:
        async for chunk in reply:
            if chunk.delta:
                words += chunk.delta.content or ""
                calls += len(chunk.delta.tool_calls)
    return words, calls


@faults
async def test_a_reply_is_the_next_models_within_five_seconds(
    serving: ServingEngines, fault: Does
) -> None:
    """Whatever the first one does instead."""
    mind = FallbackLLM([FakeLLM(fault), FakeLLM(says("Bien, ", "¿y tú?"))], serving.failover())
    began = now()
    assert await thought(mind) == ("Bien, ¿y tú?", 0)
    assert now() - began <= 5.1
    assert serving.served == [1]


@broken_off
async def test_a_reply_that_a_model_breaks_off_is_begun_anew_and_set_apart(
    serving: ServingEngines, ending: Does
) -> None:
    """What was said is said; the next one does not go on in the middle of a word."""
    first = FakeLLM(then(says("Muy bi"), ending))
    mind = FallbackLLM([first, FakeLLM(says("Bien, ", "¿y tú?"))], serving.failover())
    assert await thought(mind) == ("Muy bi… Bien, ¿y tú?", 0)


@broken_off
async def test_tools_are_not_called_twice(serving: ServingEngines, ending: Does) -> None:
    """A model that has called one has answered, though it fails after that."""
    mind = FallbackLLM(
        [FakeLLM(then(says("Voy.", CALL), ending)), FakeLLM(says(CALL))], serving.failover()
    )
    assert await thought(mind) == ("Voy.", 1)


async def test_the_first_model_answers_again_once_it_is_well(serving: ServingEngines) -> None:
    """After a reply of which nobody hears."""
    first = FakeLLM(fails)
    mind = FallbackLLM([first, FakeLLM(says("dos"))], serving.failover())
    await thought(mind)
    first.does = says("uno")
    await asyncio.sleep(10)
    await thought(mind)
    await asyncio.sleep(0.1)
    assert await thought(mind) == ("uno", 0)
    assert serving.served == [1, 0]


@faults
async def test_an_utterance_is_heard_by_the_next_recogniser(
    serving: ServingEngines, fault: Does
) -> None:
    """The same sound: nothing has to be said again."""
    second = FakeSTT(says("un café"))
    engine = FallbackSTT([FakeSTT(fault), second], serving.failover(), _vad())
    assert not engine.capabilities.streaming  # LiveKit's session finds the utterances
    began = now()
    event = await engine.recognize(frame(7), conn_options=ONCE)
    assert (event.alternatives[0].text, second.heard) == ("un café", [7])
    assert now() - began <= 5.1
    assert serving.served == [1]


async def test_the_first_recogniser_hears_again_once_it_is_well(serving: ServingEngines) -> None:
    """After an utterance of which nobody asks what it heard."""
    first = FakeSTT(fails)
    engine = FallbackSTT([first, FakeSTT(says("dos"))], serving.failover(), _vad())
    await engine.recognize(frame(), conn_options=ONCE)
    first.does = says("uno")
    await asyncio.sleep(10)
    await engine.recognize(frame(), conn_options=ONCE)
    await asyncio.sleep(0.1)
    event = await engine.recognize(frame(), conn_options=ONCE)
    assert event.alternatives[0].text == "uno"


async def test_a_recogniser_that_hears_no_word_is_replaced_when_marked_unhealthy(
    serving: ServingEngines,
) -> None:
    """It answers, and never anything: only the lesson knows that somebody speaks."""
    engine = FallbackSTT([FakeSTT(says("")), FakeSTT(says("dos"))], serving.failover(), _vad())
    await engine.recognize(frame(), conn_options=ONCE)
    engine.mark_unhealthy()
    event = await engine.recognize(frame(), conn_options=ONCE)
    assert event.alternatives[0].text == "dos"


def _vad() -> Any:
    return object()


class Stream:
    """A stream of audio and its transcripts."""

    def __init__(self, engines: Sequence[FakeSTT], serving: ServingEngines) -> None:
        self.engine = FallbackSTT(engines, serving.failover(len(engines)), _vad())
        self.stream = self.engine.stream(conn_options=ONCE)
        self.words: list[str] = []
        self.read = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.stream:
            self.words.append(event.alternatives[0].text)

    async def hear(self, *levels: int) -> None:
        """Push pieces of sound, as they are spoken."""
        for level in levels:
            self.stream.push_frame(frame(level))
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        """End the input."""
        self.stream.end_input()
        await self.read


async def test_what_a_stream_was_hearing_as_it_failed_the_next_one_hears(
    serving: ServingEngines,
) -> None:
    """From the last transcript on; what has been transcribed is not heard twice."""
    first, second = FakeSTT(says(""), streaming=True), FakeSTT(says(""), streaming=True)
    stream = Stream([first, second], serving)
    await stream.hear(1)
    first.does = says("uno")
    await stream.hear(2)
    first.does = says("")
    await stream.hear(3, 4)
    first.does = fails
    await stream.hear(5, 6)
    second.does = says("dos")
    await stream.hear(7)
    await stream.end()
    assert (first.heard, second.heard) == ([1, 2, 3, 4, 5], [3, 4, 5, 6, 7])
    assert stream.words == ["uno", "dos"]
    assert serving.served == [0, 1]


async def test_a_stream_returns_to_the_first_between_two_transcripts(
    serving: ServingEngines,
) -> None:
    """It is not asked before it was left alone for a while, and loses no words if it fails."""
    first, second = FakeSTT(fails, streaming=True), FakeSTT(says("dos"), streaming=True)
    stream = Stream([first, second], serving)
    await stream.hear(1, 2)
    assert (first.asked, second.asked) == (1, 1)
    await asyncio.sleep(10)
    await stream.hear(3)  # the last one that the second hears, before the first is asked again
    await stream.hear(4)
    assert (first.heard, second.heard) == ([1, 4], [1, 2, 3, 4])
    first.does = says("uno")
    await asyncio.sleep(20)
    await stream.hear(5, 6)
    await stream.end()
    assert stream.words == ["dos", "dos", "dos", "dos", "dos", "uno"]


async def test_a_stream_that_ends_by_itself_has_failed(serving: ServingEngines) -> None:
    """As when a provider closes a connection politely."""

    class Closing(FakeSTT):
        def stream(self, **options: Any) -> Any:
            ear = super().stream(**options)
            ear.end_input()
            return ear

    second = FakeSTT(says("dos"), streaming=True)
    stream = Stream([Closing(ends, streaming=True), second], serving)
    await stream.hear(1)
    await stream.end()
    assert stream.words == ["dos"]


async def test_a_stream_of_which_all_engines_fail_says_so(serving: ServingEngines) -> None:
    """LiveKit asks again, and closes the session in the end."""
    engines = [FakeSTT(fails, streaming=True), FakeSTT(refuses, streaming=True)]
    stream = Stream(engines, serving)
    await stream.hear(1)
    with pytest.raises(APIConnectionError):
        await stream.read


async def test_no_error_is_logged_with_its_text(
    serving: ServingEngines, capsys: pytest.CaptureFixture[str]
) -> None:
    """Providers quote keys and what was said in them."""
    voice = FallbackTTS([FakeTTS(refuses, 1), FakeTTS(says(1.0), 2)], serving.failover())
    await spoken(voice)
    output = capsys.readouterr().out
    assert "engine.failed" in output
    assert "tts[0]" in output
    assert "sk-secret" not in output

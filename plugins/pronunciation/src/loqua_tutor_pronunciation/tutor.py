"""The agent that speaks with the learner."""

from collections.abc import AsyncIterable

from livekit import rtc
from livekit.agents import Agent, ModelSettings, UserStateChangedEvent, llm, stt
from livekit.agents.voice import SpeechHandle

from loqua_host import Assessment, Lesson, PronunciationScorer, Turn, Turns

from .early_scoring import EarlyScoring
from .exercises import SpokenLanguage
from .practice import (
    PracticeState,
    add_text,
    advance,
    current_text,
    greeting,
    is_done,
    is_expected,
    line,
)
from .recording import Recording, trimmed
from .speech_speed import is_request, speak_slowly

__all__ = ["PronunciationTutor"]


class PronunciationTutor(Agent):
    """Ask the learner to repeat sentences, one by one; needs no language model.

    Attributes:
        state: What happened so far.
        language: What is practised.
    """

    def __init__(
        self,
        lesson: Lesson,
        language: SpokenLanguage,
        state: PracticeState,
        scorer: PronunciationScorer | None,
    ) -> None:
        """Prepare the tutor to go on from `state`; without a scorer there are no scores."""
        super().__init__(instructions="", llm=None)
        self.lesson = lesson
        self.language = language
        self.state = state
        self._scoring = EarlyScoring(
            scorer, language.language, lambda: current_text(self.state), self._on_early_scores
        )
        self._shown: Assessment | None = None
        self._try: Recording = ()
        self._turns: Turns[PracticeState] = Turns()
        lesson.expects = lambda words: is_expected(self.state, words)

    async def on_enter(self) -> None:
        """Listen to when the learner speaks."""
        self.session.on("user_state_changed", self._on_user_state)
        if self.state.slow:
            speak_slowly(self.session.tts)

    async def on_exit(self) -> None:
        """Close what `on_enter` and the constructor opened."""
        self.session.off("user_state_changed", self._on_user_state)
        await self._scoring.aclose()

    def greet(self) -> None:
        """Greet, and return the sentence that is on."""
        self.session.say(greeting(self.state, self.language))

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent]:
        """Recognise the learner's audio as usual, and record it."""
        recorded = self._scoring.record(audio, self.session.vad)
        async for event in Agent.default.stt_node(self, recorded, model_settings):
            yield event

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Score what the learner said, and say how it was and what comes next."""
        turn = self._turns.add(new_message, self.state)
        paused = turn.text != (new_message.text_content or "")
        sound = () if turn.typed else self._scoring.take(continued=paused)
        if self.lesson.teaches(turn.learner):
            await self._take(turn, sound)
            self.lesson.state["practice"] = self.state.model_dump(mode="json")
        self._reply()

    async def _take(self, turn: Turn[PracticeState], sound: Recording) -> None:
        """Take a turn as a request, as a text to practise, or as a try."""
        lines, is_try = self.language.lines, is_expected(turn.notes, turn.text)
        if not is_try and is_request(turn.text, lines.slower):
            self.state = turn.notes.model_copy(update={"slow": True})
            speak_slowly(self.session.tts)
        elif turn.typed:  # it says nothing of how it would sound
            self.state = add_text(turn.notes, turn.text)
        elif not is_try and is_request(turn.text, lines.repetition):
            self.state = turn.notes  # the reply is the same again
        else:
            self._try = trimmed(sound)
            assessment = await self._score(turn.notes, sound)
            self.state = advance(turn.notes, self.language, turn.text, assessment)

    def _reply(self) -> None:
        """Speak the next line; before a second attempt, play the first one after the model."""
        text = line(self.state, self.language)
        if self.state.last != "again" or not self._try:
            done = is_done(self.state)
            self._turns.reply(self.session.say(text), then=self._end if done else None)
            return
        speech = self.session.say(f"{text} {self.language.lines.replay}")
        self._turns.reply(speech)
        played = self.session.say(
            current_text(self.state), audio=_played(self._try), add_to_chat_ctx=False
        )

        def stop_if_interrupted(said: SpeechHandle) -> None:
            if said.interrupted:  # who speaks before the replay does not want it afterwards
                played.interrupt()

        speech.add_done_callback(stop_if_interrupted)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._scoring.begin()

    async def _score(self, state: PracticeState, sound: Recording) -> Assessment | None:
        """Return how the current sentence sounded, if there is sound and a scorer."""
        text = current_text(state)
        if not sound or not text:
            return None
        assessment = await self._scoring.score(sound, text)
        if assessment is not None and assessment is not self._shown:
            self.lesson.show(assessment.present(text))
        return assessment

    def _on_early_scores(self, text: str, assessment: Assessment) -> None:
        """Show scores of an attempt that is complete, unless it may be another learner's."""
        if assessment.is_complete and not self.lesson.others:
            self._shown = assessment
            self.lesson.show(assessment.present(text))

    def _end(self) -> None:
        self.lesson.end("exercises_done")


async def _played(recording: Recording) -> AsyncIterable[rtc.AudioFrame]:
    for frame in recording:
        yield frame

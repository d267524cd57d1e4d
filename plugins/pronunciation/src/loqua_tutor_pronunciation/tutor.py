"""The agent that speaks with the learner."""

from collections.abc import AsyncIterable

from livekit import rtc
from livekit.agents import Agent, ModelSettings, UserStateChangedEvent, llm, stt

from loqua_host import Lesson, Turns

from .exercises import Plan
from .practice import PracticeState, advance, is_done, is_expected, line
from .recorder import Recorder
from .scoring import Assessment, Scorer, present_score

__all__ = ["PronunciationTutor"]


class PronunciationTutor(Agent):
    """Has sentences repeated, one by one; it needs no language model.

    Attributes:
        state: What happened so far.
        plan: The exercises.
    """

    def __init__(
        self, lesson: Lesson, plan: Plan, state: PracticeState, scorer: Scorer | None
    ) -> None:
        """Prepare the tutor to go on from `state`; without a scorer there are no scores."""
        super().__init__(instructions="", llm=None)
        self.lesson = lesson
        self.plan = plan
        self.state = state
        self._scorer = scorer
        self._recorder = Recorder()
        self._turns: Turns[PracticeState] = Turns()
        lesson.expects = lambda words: is_expected(self.state, self.plan, words)

    async def on_enter(self) -> None:
        """Listen to when the learner speaks."""
        self.session.on("user_state_changed", self._on_user_state)

    async def on_exit(self) -> None:
        """Close what `on_enter` and the constructor opened."""
        self.session.off("user_state_changed", self._on_user_state)
        if self._scorer:
            await self._scorer.aclose()

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent]:
        """Recognise the learner's audio as usual, and record it."""
        async for event in Agent.default.stt_node(self, self._recorded(audio), model_settings):
            yield event

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Score what the learner said, and say how it was and what comes next."""
        turn = self._turns.hear(new_message, self.state)
        paused = turn.text != (new_message.text_content or "")
        sound = None if turn.typed else self._recorder.take(continued=paused)
        # What is typed tells nothing of how it sounds.
        if self.lesson.teaches(turn.learner) and not turn.typed:
            assessment = await self._score(turn.notes, sound)
            self.state = advance(turn.notes, self.plan, turn.text, assessment)
            self.lesson.state["practice"] = self.state.model_dump(mode="json")
        done = is_done(self.state, self.plan)
        self._turns.reply(
            self.session.say(line(self.state, self.plan)), then=self._end if done else None
        )

    async def _recorded(
        self, audio: AsyncIterable[rtc.AudioFrame]
    ) -> AsyncIterable[rtc.AudioFrame]:
        async for frame in audio:
            self._recorder.add(frame)
            yield frame

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._recorder.begin()

    async def _score(self, state: PracticeState, sound: bytes | None) -> Assessment | None:
        """Return how the current sentence sounded, if there is sound and a scorer."""
        if sound is None or self._scorer is None or is_done(state, self.plan):
            return None
        text = self.plan.exercises[state.passed].text
        assessment = await self._scorer.score(sound, text, self.plan.language)
        if assessment is not None:
            self.lesson.show(present_score(assessment, text))
        return assessment

    def _end(self) -> None:
        self.lesson.end("exercises_done")

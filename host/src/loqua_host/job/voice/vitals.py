"""Whether a lesson's voice lives: a session that hears or speaks no more says nothing of it.

LiveKit's tasks may end or wait for ever without an error (livekit/livekit#4777,
livekit/agents#4028): sound goes in and is not looked at, text goes in and no sound comes out.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Literal

import structlog
from livekit import rtc
from livekit.agents import Agent, AgentSession, UserStateChangedEvent
from livekit.agents.metrics import VADMetrics
from livekit.agents.stt import SpeechEvent
from livekit.agents.types import NotGiven
from livekit.agents.utils.aio import cancel_and_wait
from livekit.agents.utils.aio.itertools import tee
from livekit.agents.vad import VAD
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities

from loqua_host.job.engines.fallbacks import FallbackSTT

from .nodes import replace, through

__all__ = ["DEAF_SECONDS", "MUTE_SECONDS", "Part", "Vitals"]

log = structlog.get_logger()

DEAF_SECONDS: Final = 10.0
"""Of sound that nothing has looked at; voice activity detection tells of itself every second."""

MUTE_SECONDS: Final = 20.0
"""Without a sound of what is to be said; an engine that does not answer is asked twice in that."""

STUCK_SECONDS: Final = 10.0
"""For which a tutor still speaks after all its sound has been played."""

UTTERANCE_SECONDS: Final = 1.0
"""What is shorter may have been a cough."""

UNHEARD: Final = 3
"""Utterances in a row without a word of the recogniser; at the end of the next it is restarted."""

LOOK_SECONDS: Final = 1.0

DETECTOR_SECONDS: Final = 1.0
"""Of sound, after which voice activity detection tells that it has looked at it."""

LATE_SECONDS: Final = 0.05
"""From which on a session counts as late; a frame of sound is a fiftieth of a second."""

Part = Literal["hearing", "speaking"]


class Vitals:
    """Watches what goes into a session and comes out of it.

    Args:
        session: The voice session.
        clock: Seconds that only go forward.
        give_up: Told once which part is stuck for good.
        tell_late: Told by how many seconds the session is behind the learner, while it is and
            once when it no longer is.
    """

    def __init__(
        self,
        session: "AgentSession[Any]",
        clock: Callable[[], float],
        give_up: Callable[[Part], None],
        tell_late: Callable[[float], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._give_up = give_up
        self._tell_late = tell_late
        self._late = 0.0
        self._input: _Input | None = None
        self._output: _Output | None = None
        self._detector: VAD | None = None
        self._looked_at = 0.0
        self._asked_at: float | None = None
        self._spoke_at = 0.0
        self._began_at: float | None = None
        self._unheard = 0

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("user_state_changed", self._on_learner)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._session.off("user_state_changed", self._on_learner)
        self._follow(None)

    def meet(self, agent: Agent) -> None:
        """Observe an agent: what it hears, what is recognised, when it is to speak."""
        self._come_between()
        own = agent.vad
        self._follow(self._session.vad if isinstance(own, NotGiven) else own)
        replace(agent, "tts_node", self._timed(agent.tts_node))
        replace(agent, "stt_node", through(agent.stt_node, gives=self._recognised))

    def _come_between(self) -> None:
        """Stand between the session and the room, before its first agent says its first word."""
        if self._input is None and (heard := self._session.input.audio) is not None:
            self._session.input.audio = self._input = _Input(heard, self._clock)
        if self._output is None and (said := self._session.output.audio) is not None:
            self._session.output.audio = self._output = _Output(said, self._clock)

    def _follow(self, detector: VAD | None) -> None:
        """Take another voice activity detector, or none, for the one that looks at the sound."""
        if self._detector is not None:
            self._detector.off("metrics_collected", self._on_looked)
        if detector is not None:
            detector.on("metrics_collected", self._on_looked)
        self._detector = detector

    async def run(self) -> None:
        """Check every second, until a part is stuck."""
        while True:
            if stuck := self.look():
                self._give_up(stuck)
                return
            due = self._clock() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self._note_late(self._clock() - due)

    def look(self) -> Part | None:
        """Return what is stuck."""
        if self._is_deaf():
            return "hearing"
        return "speaking" if self._is_mute() else None

    def _is_deaf(self) -> bool:
        if self._input is None:
            return False
        if not self._session.input.audio_enabled:
            self._input.excuse()
        if not self._session.input.audio_enabled or self._detector is None:
            self._looked_at = self._input.seconds
        return (
            self._input.ignored > DEAF_SECONDS
            or self._input.seconds - self._looked_at > DEAF_SECONDS
        )

    def _is_mute(self) -> bool:
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at > MUTE_SECONDS:
            return True
        if self._session.agent_state != "speaking" or self._output is None:
            self._spoke_at = now
            return False
        return now - max(self._output.played_at, self._spoke_at) > STUCK_SECONDS

    def _note_late(self, loop: float) -> None:
        """Report how late the event loop, or the analysis of sound, is."""
        late = max(0.0, loop)
        if self._input is not None:
            late = max(late, self._input.seconds - self._looked_at - DETECTOR_SECONDS)
        if max(late, self._late) >= LATE_SECONDS:
            self._tell_late(late)
        self._late = late

    def _on_looked(self, _: VADMetrics) -> None:
        if self._input is not None:
            self._looked_at = self._input.seconds

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        """Count utterances of which there is no word when the next is over, too."""
        began_at, self._began_at = self._began_at, None
        if event.new_state == "speaking":
            self._began_at = event.created_at
        elif began_at is not None and event.created_at - began_at >= UTTERANCE_SECONDS:
            self._unheard += 1
            if self._unheard > UNHEARD:
                self._unheard = 0
                log.warning("lesson.recogniser_restarted", utterances=UNHEARD)
                if isinstance(self._session.stt, FallbackSTT):
                    self._session.stt.distrust()
                self._session.clear_user_turn()

    def _timed(self, node: Callable[..., Any]) -> Callable[..., Any]:
        """Return a node that is timed from the first words that it is given to its first sound."""

        async def timed(text: AsyncIterable[str], settings: Any) -> Any:
            given, seen = tee(text, 2)
            # A node that waits for something else does not even take its words.
            asking = asyncio.create_task(self._note_words(seen))
            try:
                made = node(given, settings)
                if inspect.iscoroutine(made):
                    made = await made
            except BaseException:
                await self._answered(asking)
                raise
            if isinstance(made, AsyncIterable):
                return self._sound(made, asking)
            await self._answered(asking)
            return made

        return timed

    async def _note_words(self, text: AsyncIterable[str]) -> None:
        async for piece in text:
            if piece.strip():
                self._asked_at = self._clock()
                return

    async def _sound(
        self, frames: AsyncIterable[rtc.AudioFrame], asking: "asyncio.Task[None]"
    ) -> AsyncIterator[rtc.AudioFrame]:
        try:
            async for frame in frames:
                self._asked_at = None
                yield frame
        finally:
            await self._answered(asking)

    async def _answered(self, asking: "asyncio.Task[None]") -> None:
        await cancel_and_wait(asking)
        self._asked_at = None

    async def _recognised(self, events: AsyncIterable[Any]) -> AsyncIterator[Any]:
        async for event in events:
            if not isinstance(event, SpeechEvent) or event.alternatives:
                self._unheard = 0
            yield event


class _Input(AudioInput):
    """Counts the sound that a session takes in."""

    def __init__(self, source: AudioInput, clock: Callable[[], float]) -> None:
        super().__init__(label=source.label, source=source)
        self._clock = clock
        self._left_at: float | None = clock()
        self.seconds = 0.0

    @property
    def ignored(self) -> float:
        """For how many seconds nobody has asked for sound."""
        return 0.0 if self._left_at is None else self._clock() - self._left_at

    def excuse(self) -> None:
        """Count them from now on."""
        if self._left_at is not None:
            self._left_at = self._clock()

    async def __anext__(self) -> rtc.AudioFrame:
        self._left_at = None
        try:
            frame = await super().__anext__()
        finally:
            self._left_at = self._clock()
        self.seconds += frame.duration
        return frame


class _Output(AudioOutput):
    """Knows until when the sound is played that a session gives."""

    def __init__(self, sink: AudioOutput, clock: Callable[[], float]) -> None:
        super().__init__(
            label=sink.label,
            capabilities=AudioOutputCapabilities(pause=True),
            next_in_chain=sink,
            sample_rate=sink.sample_rate,
        )
        self._clock = clock
        self.played_at = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Pass a frame on."""
        await super().capture_frame(frame)
        self.played_at = max(self.played_at, self._clock()) + frame.duration
        if self.next_in_chain is not None:
            await self.next_in_chain.capture_frame(frame)

    def flush(self) -> None:
        """Pass it on."""
        super().flush()
        if self.next_in_chain is not None:
            self.next_in_chain.flush()

    def clear_buffer(self) -> None:
        """Pass it on: what was not played is not."""
        self.played_at = self._clock()
        if self.next_in_chain is not None:
            self.next_in_chain.clear_buffer()

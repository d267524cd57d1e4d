"""Detection of a stuck voice session.

LiveKit's tasks may end or wait forever without an error (livekit/livekit#4777,
livekit/agents#4028): audio goes in and is not processed, or text goes in and no audio comes out.
"""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Literal

import structlog
from livekit import rtc
from livekit.agents import Agent, AgentSession, UserStateChangedEvent
from livekit.agents.llm import RealtimeModel
from livekit.agents.metrics import VADMetrics
from livekit.agents.stt import STT, SpeechEvent
from livekit.agents.types import NotGiven
from livekit.agents.utils.aio import cancel_and_wait
from livekit.agents.utils.aio.itertools import tee
from livekit.agents.vad import VAD
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities

from loqua_host.job.engines.eager import EagerSTT
from loqua_host.job.engines.fallbacks import FallbackSTT

from .nodes import replace, through

__all__ = ["MUTE_SECONDS", "UNPROCESSED_SECONDS", "Part", "Vitals"]

log = structlog.get_logger()

UNPROCESSED_SECONDS: Final = 10.0
"""Seconds of unprocessed audio; voice activity detection reports every second."""

MUTE_SECONDS: Final = 20.0
"""Seconds without audio for a text; within them, LiveKit asks an unresponsive engine twice."""

STUCK_SECONDS: Final = 10.0
"""Seconds for which the session reports speech after all audio has been played."""

UTTERANCE_SECONDS: Final = 1.0
"""Minimum seconds of an utterance; a shorter one may be a cough."""

UNHEARD: Final = 3
"""Consecutive utterances without a transcript, after which recognition is restarted."""

POLL_SECONDS: Final = 1.0

DETECTOR_SECONDS: Final = 1.0
"""Seconds of audio between two reports of voice activity detection."""

LATE_SECONDS: Final = 0.05
"""Minimum delay in seconds with which a session counts as late; an audio frame is 20 ms."""

Part = Literal["hearing", "speaking"]


class Vitals:
    """Watch the input and output of a session.

    Time in which this process stood still counts for nothing: what happened meanwhile is not known
    yet when it goes on, and the audio that queued up comes all at once.

    Args:
        session: The voice session.
        clock: A monotonic clock in seconds.
        give_up: Called once with the part that is stuck.
        report_delay: Called with the session's delay in seconds while it is late, and once when
            it no longer is.
    """

    def __init__(
        self,
        session: "AgentSession[Any]",
        clock: Callable[[], float],
        give_up: Callable[[Part], None],
        report_delay: Callable[[float], None],
    ) -> None:
        self._session = session
        self._clock = clock
        self._give_up = give_up
        self._report_delay = report_delay
        self._late = 0.0
        self._stalled = 0.0
        self._stalled_since_report = 0.0
        self._input: _Input | None = None
        self._output: _Output | None = None
        self._detector: VAD | None = None
        self._processed_at = 0.0
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

    def attach(self, agent: Agent) -> None:
        """Observe an agent's input, transcripts and speech."""
        self._come_between()
        own = agent.vad
        self._follow(self._session.vad if isinstance(own, NotGiven) else own)
        replace(agent, "tts_node", self._timed(agent.tts_node))
        replace(agent, "stt_node", through(agent.stt_node, gives=self._recognised))

    def _come_between(self) -> None:
        """Wrap the session's input and output, before its first agent speaks."""
        if self._input is None and (heard := self._session.input.audio) is not None:
            self._session.input.audio = self._input = _Input(heard, self._now)
        if self._output is None and (said := self._session.output.audio) is not None:
            self._session.output.audio = self._output = _Output(said, self._now)

    def _follow(self, detector: VAD | None) -> None:
        """Follow another voice activity detector, or none."""
        if self._detector is not None:
            self._detector.off("metrics_collected", self._on_detector_metrics)
        if detector is not None:
            detector.on("metrics_collected", self._on_detector_metrics)
        self._detector = detector

    async def run(self) -> None:
        """Check every second, until a part is stuck."""
        while True:
            if stuck := self.find_stuck():
                self._give_up(stuck)
                return
            due = self._clock() + POLL_SECONDS
            await asyncio.sleep(POLL_SECONDS)
            late = max(0.0, self._clock() - due)
            self._note_late(late)
            self._stalled += late
            self._stalled_since_report += late

    def _now(self) -> float:
        """Return the clock's time without that in which this process stood still."""
        return self._clock() - self._stalled

    def find_stuck(self) -> Part | None:
        """Return the part that is stuck, or None."""
        if self._is_unprocessed():
            return "hearing"
        return "speaking" if self._is_mute() else None

    def _is_unprocessed(self) -> bool:
        if self._input is None:
            return False
        if not self._session.input.audio_enabled:
            self._input.excuse()
        if not self._session.input.audio_enabled or self._detector is None:
            self._processed_at = self._input.seconds
        return (
            self._input.ignored > UNPROCESSED_SECONDS
            or self._input.seconds - self._processed_at
            > UNPROCESSED_SECONDS + self._stalled_since_report
        )

    def _is_mute(self) -> bool:
        now = self._now()
        if self._asked_at is not None and now - self._asked_at > MUTE_SECONDS:
            return True
        if self._session.agent_state != "speaking" or self._output is None:
            self._spoke_at = now
            return False
        return now - max(self._output.played_at, self._spoke_at) > STUCK_SECONDS

    def _note_late(self, loop: float) -> None:
        """Report the delay of the event loop or of audio processing."""
        late = loop
        if self._input is not None:
            late = max(late, self._input.seconds - self._processed_at - DETECTOR_SECONDS)
        if max(late, self._late) >= LATE_SECONDS:
            self._report_delay(late)
        self._late = late

    def _on_detector_metrics(self, _: VADMetrics) -> None:
        if self._input is not None:
            self._processed_at = self._input.seconds
            self._stalled_since_report = 0.0

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        """Count utterances that have no transcript by the end of the next one."""
        began_at, self._began_at = self._began_at, None
        if isinstance(self._session.current_agent.llm or self._session.llm, RealtimeModel):
            return  # nobody else recognises the learner's words
        if event.new_state == "speaking":
            self._began_at = event.created_at
        elif began_at is not None and event.created_at - began_at >= UTTERANCE_SECONDS:
            self._unheard += 1
            if self._unheard > UNHEARD:
                self._unheard = 0
                log.warning("lesson.recogniser_restarted", utterances=UNHEARD)
                self._mark_unhealthy(self._session.stt)
                self._session.clear_user_turn()

    def _mark_unhealthy(self, recogniser: "STT[Any] | None") -> None:
        if isinstance(recogniser, EagerSTT):
            recogniser = recogniser.wrapped_stt
        if isinstance(recogniser, FallbackSTT):
            recogniser.mark_unhealthy()

    def _timed(self, node: Callable[..., Any]) -> Callable[..., Any]:
        """Return a node that is timed from its first input text to its first audio."""

        async def timed(text: AsyncIterable[str], settings: Any) -> Any:
            given, seen = tee(text, 2)
            # A node that waits for something else does not consume its text either.
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
                self._asked_at = self._now()
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
    """Measure the audio that a session consumes."""

    def __init__(self, source: AudioInput, clock: Callable[[], float]) -> None:
        super().__init__(label=source.label, source=source)
        self._clock = clock
        self._left_at: float | None = clock()
        self.seconds = 0.0

    @property
    def ignored(self) -> float:
        """Seconds since the session has last requested audio."""
        return 0.0 if self._left_at is None else self._clock() - self._left_at

    def excuse(self) -> None:
        """Restart the count."""
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
    """Track until when a session's audio is played."""

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
        """Pass it on, and forget the audio that was not played."""
        self.played_at = self._clock()
        if self.next_in_chain is not None:
            self.next_in_chain.clear_buffer()

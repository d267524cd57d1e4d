"""Detection of the tutor's own voice in the learner's microphone (echo)."""

import re
import time
import unicodedata
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from livekit import rtc
from livekit.agents import Agent, AgentSession, AgentStateChangedEvent, UserStateChangedEvent
from livekit.agents.stt import SpeechEvent
from livekit.agents.voice.io import AudioInput, AudioOutput

from loqua_host.livekit_internals import PlayedSource, TrackOutput

from .echo_detection import PlayedSound
from .echo_filter import EchoFilter
from .nodes import replace, through

__all__ = ["OwnVoice", "share_of"]

log = structlog.get_logger()

LATE_SECONDS: Final = 0.3
"""Seconds after the tutor's speech within which an echo may start (network round trip)."""

TAIL_SECONDS: Final = 1.2
"""Seconds after the tutor's speech within which an echo may end (network, room acoustics, and the
recognition's wait for silence)."""

EARLY_SECONDS: Final = 0.2
"""Tolerance in seconds of the timestamps at which speech and audio start."""

SHARE: Final = 0.6
"""Minimum ratio of the recognised text that matches the tutor's text in an echo."""

KEPT_SPANS: Final = 20
"""Utterances of each side, of which transcripts may still arrive."""

KEPT_CHARACTERS: Final = 600
"""Maximum characters of the tutor's text to compare; a transcript is a sentence or two."""

LONGEST_CHARACTERS: Final = 600

PIECE: Final = 4


@dataclass(slots=True)
class _Span:
    """A span of time, in wall clock seconds; without an end, it continues."""

    start: float
    end: float | None = None


class OwnVoice:
    """Keep echoes of the tutor from a session.

    An echo is known by its sound. The session hears silence instead, so that an echo neither
    interrupts the tutor nor is recognised. An echo that a page cancels in part has the words of the
    tutor: its transcript is dropped. The time must match, too, because a learner who repeats a
    sentence starts after the tutor has ended. If only words tell an echo, only words interrupt the
    tutor, not any sound; otherwise its own voice would interrupt it repeatedly.

    Args:
        session: The voice session.
        clock: The wall clock in seconds, which LiveKit uses for speech timestamps.
    """

    def __init__(
        self, session: "AgentSession[Any]", clock: Callable[[], float] = time.time
    ) -> None:
        self._session = session
        self._clock = clock
        self._text = ""
        self._played, self._filter = PlayedSound(), EchoFilter()
        self._source: PlayedSource | None = None
        self._tutor: deque[_Span] = deque(maxlen=KEPT_SPANS)
        self._learner: deque[_Span] = deque(maxlen=KEPT_SPANS)
        self._echoes = False

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("agent_state_changed", self._on_tutor)
        self._session.on("user_state_changed", self._on_learner)

    def unwatch(self) -> None:
        """Follow it no longer."""
        if self._source is not None:
            self._source.on_frame = self._source.on_clear = None
        self._session.off("agent_state_changed", self._on_tutor)
        self._session.off("user_state_changed", self._on_learner)

    def attach(self, agent: Agent) -> None:
        """Observe what an agent says, and drop its echo from what it hears."""
        self._come_between()
        replace(agent, "tts_node", through(agent.tts_node, given=self._noted))
        replace(agent, "stt_node", through(agent.stt_node, gives=self._without_echo))

    def _come_between(self) -> None:
        """Wrap the session's input, and listen to what its track plays."""
        heard, track = self._session.input.audio, _track_of(self._session.output.audio)
        if self._source is None and heard is not None and track is not None:
            self._source = track.source
            self._source.on_frame = lambda frame: self._played.add(frame, self._clock())
            self._source.on_clear = lambda: self._played.clear(self._clock())
            self._session.input.audio = _WithoutEcho(heard, self._silence_echo, self._filter.clear)

    def _silence_echo(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        frames = self._filter.add(frame, self._played, self._clock())
        if self._filter.detector.path is not None:
            self._warn()
        return frames

    def is_echo(self, text: str, until: float | None = None) -> bool:
        """Return whether a transcript is an echo of the tutor.

        Args:
            text: The transcript, which has just arrived.
            until: The time at which its last word was over; None for the latest speech. A slow
                recogniser's transcript arrives when somebody speaks again.
        """
        now = self._clock()
        learner = _latest(self._learner, now if until is None else until)
        tutor = _latest(self._tutor, learner.start + EARLY_SECONDS) if learner else None
        if not text or learner is None or tutor is None:
            return False
        ended = learner.end or now
        if tutor.end is not None and (
            learner.start > tutor.end + LATE_SECONDS or ended > tutor.end + TAIL_SECONDS
        ):
            return False
        return share_of(
            text[:LONGEST_CHARACTERS], self._text
        ) >= SHARE or self._filter.detector.was_echo(ended - learner.start, now - ended)

    async def _noted(self, pieces: AsyncIterable[str]) -> AsyncIterator[str]:
        self._text = f"{self._text} "[-KEPT_CHARACTERS:]
        async for piece in pieces:
            self._text = (self._text + piece)[-KEPT_CHARACTERS:]
            yield piece

    async def _without_echo(
        self, events: AsyncIterable[SpeechEvent | str]
    ) -> AsyncIterator[SpeechEvent | str]:
        async for event in events:
            if self.is_echo(_text_of(event), getattr(event, "speech_end_time", None)):
                self._beware()
            else:
                yield event

    def _beware(self) -> None:
        if self._filter.detector.path is None:
            self._session.options.interruption["min_words"] = 1
        self._warn()

    def _warn(self) -> None:
        if not self._echoes:
            self._echoes = True
            log.warning(
                "lesson.echo",
                hint="the page: capture the microphone with echoCancellation, or use headphones",
            )

    def _on_tutor(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._tutor.append(_Span(event.created_at))
        elif event.old_state == "speaking" and self._tutor:
            self._tutor[-1].end = event.created_at

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._learner.append(_Span(event.created_at))
        elif event.old_state == "speaking" and self._learner:
            self._learner[-1].end = event.created_at


class _WithoutEcho(AudioInput):
    """Give silence in place of each frame that is nothing but an echo."""

    def __init__(
        self,
        source: AudioInput,
        silence_echo: Callable[[rtc.AudioFrame], list[rtc.AudioFrame]],
        forget: Callable[[], None],
    ) -> None:
        super().__init__(label=source.label, source=source)
        self._silence_echo, self._forget = silence_echo, forget
        self._ready: deque[rtc.AudioFrame] = deque()

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._ready:
            self._ready += self._silence_echo(await super().__anext__())
        return self._ready.popleft()

    def on_detached(self) -> None:
        super().on_detached()
        self._forget()
        self._ready.clear()


def _track_of(output: AudioOutput | None) -> TrackOutput | None:
    """Return the track that a session's audio ends in."""
    while output is not None and not isinstance(output, TrackOutput):
        output = output.next_in_chain
    return output


def _latest(spans: Iterable[_Span], until: float) -> _Span | None:
    """Return the latest of these spans that had started by a time."""
    return max((it for it in spans if it.start <= until), key=lambda it: it.start, default=None)


def share_of(heard: str, said: str) -> float:
    """Return the ratio of a text that is also in another, 0 to 1, tolerating recognition errors."""
    pieces = _pieces(heard)
    return len(pieces & _pieces(said)) / len(pieces) if pieces else 0.0


def _pieces(text: str) -> frozenset[str]:
    """Return all 4-grams of a text, without accents and case."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    words = " ".join(
        re.findall(r"\w+", "".join(it for it in plain if not unicodedata.combining(it)))
    )
    return (
        frozenset(f" {words} "[at : at + PIECE] for at in range(len(words) + 3 - PIECE))
        if words
        else frozenset()
    )


def _text_of(event: SpeechEvent | str) -> str:
    if isinstance(event, str):
        return event
    return event.alternatives[0].text if event.alternatives else ""

"""A synthetic learner: joins a room, speaks the lines of a script, listens to the tutor."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

import httpx
import numpy as np
from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_AGENT_NAME,
    ATTRIBUTE_AGENT_STATE,
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    TOPIC_CHAT,
    TOPIC_TRANSCRIPTION,
)

from loqua_host.system.tasks import uncancelled

from .hearing import LEARNER, EndedBy, Hearing, LessonHeard, TranscriptSegment
from .senders import Senders

__all__ = [
    "LearnerInRoom",
    "Line",
    "Script",
    "Speak",
    "SyntheticLearner",
    "joined",
    "open_microphone",
    "synthesise_line",
]

SAMPLE_RATE = 24000
FRAME = SAMPLE_RATE // 50  # 20 ms
AUDIBLE = 200.0  # RMS of 16-bit samples, -44 dBFS: above a codec's noise, below soft speech
BUSY = frozenset({"initializing", "thinking", "speaking"})  # livekit.agents' AgentState


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the learner, spoken after `pause` seconds."""

    text: str
    language: str
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """The learner's side of a lesson, line by line."""

    lines: tuple[Line, ...]


Speak = Callable[[Line], Awaitable[bytes]]
"""A function that synthesises a line as PCM: 16-bit little-endian mono, 24 kHz."""


async def synthesise_line(base_url: str, text: str, voice: str, *, model: str = "pico") -> bytes:
    """Return `text` as PCM (16-bit little-endian mono, 24 kHz) from a speech server.

    Args:
        base_url: As OpenAI's clients take it, such as `http://127.0.0.1:8123/v1`.
        text: What is to be said.
        voice: A voice of that server, such as `es`.
        model: A speech model of that server.

    Raises:
        httpx.HTTPError: The server is not there or refuses.
    """
    body = {"model": model, "voice": voice, "input": text, "response_format": "pcm"}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{base_url.rstrip('/')}/audio/speech", json=body)
    return answer.raise_for_status().content


@dataclass(frozen=True, slots=True)
class SyntheticLearner:
    """A learner who enters a room over WebRTC and speaks a script, turn by turn.

    It speaks its next line when a tutor has spoken and finished, or has given no sign of
    life for `patience` seconds. It leaves after the reply to the last line, or when no tutor
    has been there for `patience` seconds.

    Args:
        url: LiveKit's address, `ws://` or `wss://`.
        token: A token for the room; its identity becomes the learner's.
        speak: Gives the sound of a line.
        script: What the learner says.
        on_heard: Takes each segment of the transcript, as tutors publish it, when finished.
        answers: The agent name of the tutor it came for; whoever is there when None.
        settle: Seconds of silence after which a tutor who spoke is taken to have finished.
        patience: Seconds to wait for a tutor who gives no sign of life.
        limit: Seconds after which the learner leaves whatever happens.
    """

    url: str
    token: str = field(repr=False)
    speak: Speak
    script: Script
    on_heard: Callable[[TranscriptSegment], None] = lambda _: None
    answers: str | None = None
    settle: float = 0.7
    patience: float = 15.0
    limit: float = 300.0

    async def run(self) -> LessonHeard:
        """Take part in one lesson, and return what was heard.

        Raises:
            rtc.ConnectError: LiveKit does not let the learner in.
        """
        # Before joining, so that neither its time nor its failure is part of the lesson.
        speech = [await self.speak(line) for line in self.script.lines]
        hearing = Hearing(self.on_heard, self.settle, self.patience, self.answers)
        try:
            async with asyncio.TaskGroup() as tasks:
                ended_by = await self._lesson(hearing, tasks, speech)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return hearing.summary(ended_by)

    async def _lesson(
        self, hearing: Hearing, tasks: asyncio.TaskGroup, speech: list[bytes]
    ) -> EndedBy:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.limit), joined(self.url, self.token) as room:
                with closing(LearnerInRoom(room, hearing, tasks, began)) as lesson:
                    async with open_microphone(room) as microphone:
                        return await self._turns(lesson, microphone, speech)
        except TimeoutError:
            return "timeout"

    async def _turns(
        self, lesson: "LearnerInRoom", microphone: rtc.AudioSource, speech: list[bytes]
    ) -> EndedBy:
        lines = list(zip(self.script.lines, speech, strict=True))
        await lesson.tutor_finished(last=not lines)
        for number, (line, pcm) in enumerate(lines, 1):
            if not lesson.has_tutor:
                break
            await asyncio.sleep(line.pause)
            await lesson.say(microphone, pcm)
            await lesson.tutor_finished(last=number == len(lines))
        return "learner" if lesson.has_tutor else "tutor"


class LearnerInRoom:
    """A learner in one room: receive audio and text, and speak in turn."""

    def __init__(
        self, room: rtc.Room, hearing: Hearing, tasks: asyncio.TaskGroup, began: float
    ) -> None:
        self._room = room
        self._senders = Senders(room)
        self._hearing = hearing
        self._tasks = tasks
        self._listeners: dict[str, asyncio.Task[None]] = {}
        self._clock = asyncio.get_running_loop().time
        self._began = began
        self._open = True
        self._since = self._active = 0.0
        self._changed = asyncio.Event()
        room.on("track_subscribed", self._on_track_subscribed)
        room.on("track_unsubscribed", self._on_track_unsubscribed)
        for event in ("participant_connected", "participant_disconnected"):
            room.on(event, self._on_participant)
        room.on("participant_attributes_changed", lambda _, who: self._on_participant(who))
        room.on("disconnected", lambda _: self._changed.set())
        room.register_text_stream_handler(TOPIC_TRANSCRIPTION, self._on_text_stream)
        for who in room.remote_participants.values():
            for publication in who.track_publications.values():
                if publication.track:
                    self._on_track_subscribed(publication.track, publication, who)

    @property
    def has_tutor(self) -> bool:
        """Whether a tutor is in the room, and the learner too."""
        return self._room.isconnected() and bool(self._tutors)

    @property
    def _tutors(self) -> list[rtc.RemoteParticipant]:
        present = self._room.remote_participants.values()
        wanted = self._hearing.answers
        return [who for who in present if _is_tutor(who) and wanted in (None, _name(who))]

    async def say(self, microphone: rtc.AudioSource, pcm: bytes) -> None:
        """Speak; returns when the last sample is on its way."""
        samples = np.frombuffer(pcm, "<i2")
        for start in range(0, len(samples), FRAME):
            frame = samples[start : start + FRAME]
            await microphone.capture_frame(
                rtc.AudioFrame(frame.tobytes(), SAMPLE_RATE, 1, len(frame))
            )
        await microphone.wait_for_playout()
        first, last = audible_extent(samples)
        began = self._now() - len(samples) / SAMPLE_RATE
        self._hearing.sound(LEARNER, began + first, began + last)
        self._since = began + last

    async def write(self, text: str) -> None:
        """Type a message into the room's chat."""
        await self._room.local_participant.send_text(text, topic=TOPIC_CHAT)
        self.listen()

    def listen(self) -> None:
        """Wait for what a tutor says from now on."""
        self._since = self._now()

    async def tutor_finished(self, *, last: bool) -> None:
        """Wait until a tutor has spoken since the learner did, and finished; or for too long.

        Unless it was the `last` time, a tutor who has gone may be restored and is awaited.
        """
        while self._room.isconnected() and (wait := self._still_to_wait(last=last)) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def close(self) -> None:
        """Stop listening; tracks that LiveKit still reports on the way out cannot be read."""
        self._open = False
        for task in self._listeners.values():
            task.cancel()

    def _now(self) -> float:
        return self._clock() - self._began

    def _still_to_wait(self, *, last: bool) -> float:
        states = [who.attributes.get(ATTRIBUTE_AGENT_STATE) for who in self._tutors]
        busy = any(state in BUSY for state in states) or not (states or last)
        return self._hearing.still_to_wait(self._since, self._now(), busy=busy, active=self._active)

    def _on_participant(self, who: rtc.Participant) -> None:
        if _is_tutor(who):
            self._active = self._now()
            self._changed.set()

    def _on_track_subscribed(
        self, track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        if self._open and _is_tutor(who) and track.kind == rtc.TrackKind.KIND_AUDIO:
            self._listeners[track.sid] = self._tasks.create_task(self._listen(track, who))

    def _on_track_unsubscribed(self, track: rtc.Track) -> None:
        # The stream of a track that is gone falls silent without ending.
        if task := self._listeners.pop(track.sid, None):
            task.cancel()

    async def _listen(self, track: rtc.Track, who: rtc.RemoteParticipant) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        try:
            async for event in stream:
                if _level(np.frombuffer(event.frame.data, np.int16)) >= AUDIBLE:
                    now = self._now()
                    self._hearing.sound(_name(who), now - event.frame.duration, now)
                    self._changed.set()
        finally:
            await stream.aclose()

    def _on_text_stream(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if self._open:
            self._tasks.create_task(self._read(reader, identity))
        else:
            reader.close()

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        """Read one segment; what the tutor understood of the learner bears its identity.

        A tutor's segment grows in one stream, the learner's is sent anew each time it grows
        (livekit.agents.voice.room_io), so of the latter only the final one counts.
        """
        mine = identity == self._room.local_participant.identity
        text = ""
        try:
            async for piece in reader:
                text += piece
        except rtc.StreamError:
            pass  # cut off because the sender left; keep what was received
        finally:
            reader.close()
        at = self._now()
        final = (reader.info.attributes or {}).get(ATTRIBUTE_TRANSCRIPTION_FINAL) == "true"
        if text and (final or not mine):
            speaker = LEARNER if mine else _name(await self._senders.find(identity))
            self._hearing.text(TranscriptSegment(at, speaker, text))


def _is_tutor(who: rtc.Participant) -> bool:
    return who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


def _name(tutor: rtc.Participant | None) -> str:
    return (tutor and (tutor.attributes.get(ATTRIBUTE_AGENT_NAME) or tutor.name)) or "tutor"


def _level(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def audible_extent(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> tuple[float, float]:
    """Return where the first and last sound are, in seconds; all of it when all is silence."""
    starts = range(0, len(samples), FRAME)
    loud = [at for at in starts if _level(samples[at : at + FRAME]) >= AUDIBLE]
    if not loud:
        return 0.0, len(samples) / SAMPLE_RATE
    return loud[0] / SAMPLE_RATE, min(loud[-1] + FRAME, len(samples)) / SAMPLE_RATE


@asynccontextmanager
async def joined(url: str, token: str) -> AsyncIterator[rtc.Room]:
    """Join a room for the length of a block.

    Raises:
        rtc.ConnectError: LiveKit does not let the learner in.
    """
    room = rtc.Room()
    try:
        # Cancelled midway, LiveKit's client ends the process 15 s later (python-sdks #784).
        await uncancelled(room.connect(url, token, rtc.RoomOptions(connect_timeout=20)))
        yield room
    except rtc.ConnectError as error:
        # LiveKit quotes a token that it refuses.
        raise rtc.ConnectError(error.message.replace(token, "<token>")) from None
    finally:
        await room.disconnect()


@asynccontextmanager
async def open_microphone(room: rtc.Room) -> AsyncIterator[rtc.AudioSource]:
    """Publish a microphone; between lines the source itself sends silence, in real time."""
    source = rtc.AudioSource(SAMPLE_RATE, 1)
    try:
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await room.local_participant.publish_track(track, options)
        yield source
    finally:
        await source.aclose()

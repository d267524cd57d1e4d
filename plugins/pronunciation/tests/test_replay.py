"""Playback of an attempt after the model sentence."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, AgentSession, APIConnectOptions, tts
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities

from loqua_host import Lesson
from loqua_tutor_pronunciation.tutor import PronunciationTutor

RATE = 24_000
VOICE, TRY = 100, 8000
"""Loudest samples of the tutor's voice and of the learner's."""


def tone(level: int, seconds: float, rate: int = RATE) -> rtc.AudioFrame:
    """Return a frame of samples of one level."""
    count = round(seconds * rate)
    return rtc.AudioFrame(level.to_bytes(2, "little") * count, rate, 1, count)


class OneSecondTTS(tts.TTS[Any]):
    """A voice that takes one second for any text."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Return the second."""
        return Second(tts=self, input_text=text, conn_options=conn_options)


class Second(tts.ChunkedStream):
    """One second of audio at a constant level."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="1", sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(bytes(tone(VOICE, 1.0).data))
        output_emitter.flush()


class Speaker(AudioOutput):
    """An audio output that records the peak level of each speech."""

    def __init__(self) -> None:
        super().__init__(
            label="speaker", sample_rate=RATE, capabilities=AudioOutputCapabilities(pause=False)
        )
        self.levels: list[int] = []
        self._frames: list[rtc.AudioFrame] = []

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame."""
        await super().capture_frame(frame)
        self._frames.append(frame)

    def flush(self) -> None:
        """End a speech."""
        super().flush()
        if self._frames:
            self.levels.append(max(max(frame.data) for frame in self._frames))
            seconds = sum(frame.duration for frame in self._frames)
            self._frames = []
            self.on_playback_finished(playback_position=seconds, interrupted=False)

    def clear_buffer(self) -> None:
        """Do nothing: no sound waits."""


async def test_the_learner_hears_the_model_and_then_their_own_try(
    make_lesson: Callable[..., Lesson],
    taught: Callable[[Lesson], AbstractAsyncContextManager[Any]],
) -> None:
    """At the session's rate, and without a trace in the history."""
    session: AgentSession[None] = AgentSession(tts=OneSecondTTS())
    session.output.audio = speaker = Speaker()
    lesson = make_lesson(session=session)
    async with taught(lesson) as room:
        recorder = lesson.get_agent(PronunciationTutor)._scoring._recorder
        recorder.begin()
        for level in (1, 1, TRY, TRY, 1, 1):
            recorder.add(tone(level, 0.1, rate=48_000))
        assert (await room.say("El gato corre por el parque.")).endswith("Tú has dicho:")

    greeting, line, replay = speaker.levels
    assert (greeting, line) == (VOICE, VOICE)
    assert replay > TRY / 2

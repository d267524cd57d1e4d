"""Audio input for `audio_input: all`: the mixed audio of all identified learners in the room."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

from livekit import rtc
from livekit.agents.voice.io import AudioInput

from .levels import Levels
from .microphone import SAMPLE_RATE, microphone_of

__all__ = ["MixedAudioInput"]

FRAME_MS = 50

EVERY = 4
"""The step between the samples of a frame that measure its level."""


class MixedAudioInput(AudioInput):
    """The mixed audio of selected participants.

    Args:
        room: The room.
        clock: The wall clock in seconds, which LiveKit uses for speech timestamps.

    Attributes:
        levels: The level of each participant.
    """

    def __init__(self, room: rtc.Room, clock: Callable[[], float] = time.time) -> None:
        super().__init__(label="identified learners")
        self._room = room
        self._clock = clock
        self.levels = Levels()
        self._mixer = rtc.AudioMixer(SAMPLE_RATE, 1, blocksize=SAMPLE_RATE * FRAME_MS // 1000)
        self._identities: frozenset[str] = frozenset()
        self._mixed: dict[str, _Sound] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._attached = True
        room.on("track_subscribed", self._update_tracks)
        room.on("track_unsubscribed", self._update_tracks)

    def select(self, identities: Iterable[str]) -> None:
        """Mix the audio of these participants from now on."""
        self._identities = frozenset(identities)
        self._update_tracks()

    def track_of(self, identity: str) -> str | None:
        """Return the id of a participant's mixed track."""
        voice = microphone_of(self._room.remote_participants.get(identity))
        return voice.sid if voice and voice.sid in self._mixed else None

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next frame; wait while another tutor has the floor."""
        while True:
            frame = await self._mixer.__anext__()
            if self._attached:
                return frame

    def on_attached(self) -> None:
        """Start to receive audio."""
        self._attached = True

    def on_detached(self) -> None:
        """Stop receiving audio; what is said meanwhile is lost."""
        self._attached = False

    async def aclose(self) -> None:
        """Close the input."""
        self._room.off("track_subscribed", self._update_tracks)
        self._room.off("track_unsubscribed", self._update_tracks)
        self.select(())
        await asyncio.gather(*self._closing)
        await self._mixer.aclose()

    def _update_tracks(self, *_: object) -> None:
        tracks = {
            voice.sid: (who.identity, voice.track)
            for who in self._room.remote_participants.values()
            if who.identity in self._identities
            and (voice := microphone_of(who))
            and isinstance(voice.track, rtc.RemoteAudioTrack)
        }
        for sid in self._mixed.keys() - tracks.keys():
            self._drop(self._mixed.pop(sid))
        for sid in tracks.keys() - self._mixed.keys():
            identity, track = tracks[sid]
            self._mixed[sid] = _Sound(track, partial(self._measure, identity))
            self._mixer.add_stream(self._mixed[sid])

    def _measure(self, identity: str, frame: rtc.AudioFrame) -> None:
        samples = frame.data[::EVERY]
        self.levels.add(identity, sum(it * it for it in samples) / len(samples), self._clock())

    def _drop(self, sound: "_Sound") -> None:
        self._mixer.remove_stream(sound)
        closing = asyncio.create_task(sound.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


class _Sound(AsyncIterator[rtc.AudioFrame]):
    """The frames of one track, each shown to `measure` before it is passed on."""

    def __init__(
        self, track: rtc.RemoteAudioTrack, measure: Callable[[rtc.AudioFrame], None]
    ) -> None:
        self._measure = measure
        self._stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=FRAME_MS
        )

    async def __anext__(self) -> rtc.AudioFrame:
        frame = (await self._stream.__anext__()).frame
        self._measure(frame)
        return frame

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

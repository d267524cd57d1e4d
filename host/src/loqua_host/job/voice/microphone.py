"""The choice of the learner's audio track, if LiveKit reads one learner's audio."""

from typing import Any, Final

from livekit import rtc
from livekit.agents.voice.room_io import AudioInputOptions, RoomIO
from livekit.rtc.room import EventTypes

from loqua_host.contract.lesson import Lesson
from loqua_host.livekit_internals import accept_sources

__all__ = ["AUDIO_OPTIONS", "SAMPLE_RATE", "Microphone", "microphone_of"]

SAMPLE_RATE: Final = 16_000
"""The rate of LiveKit's voice activity and turn detection, and of most recognition. From another
one, both detections resample each frame."""

AUDIO_OPTIONS: Final = AudioInputOptions(sample_rate=SAMPLE_RATE, frame_size_ms=80)
"""Longer frames than LiveKit's 50 ms: what Python does with a frame hardly depends on its length,
and takes half of a quiet lesson's CPU time. Speech is noticed 15 ms later on average. Automatic
gain control needs multiples of 10 ms."""

SOURCES: Final = (rtc.TrackSource.SOURCE_MICROPHONE, rtc.TrackSource.SOURCE_UNKNOWN)
"""Track sources for voice, best first. Several SDKs publish without a source by default."""

EVENTS: Final[tuple[EventTypes, ...]] = ("track_subscribed", "track_unsubscribed")


def microphone_of(participant: rtc.RemoteParticipant | None) -> rtc.RemoteTrackPublication | None:
    """Return a participant's subscribed audio track, preferably the microphone."""
    published = participant.track_publications.values() if participant else ()
    voices = [
        one
        for one in published
        if isinstance(one.track, rtc.RemoteAudioTrack) and one.source in SOURCES
    ]
    return min(voices, key=lambda one: SOURCES.index(one.source), default=None)


class Microphone:
    """Make a session use the learner's audio track, whatever its source is.

    Args:
        room: The room.
        lesson: The lesson.
    """

    def __init__(self, room: rtc.Room, lesson: Lesson) -> None:
        self._room = room
        self._lesson = lesson
        self._input: Any = None

    def watch(self) -> None:
        """Follow the room from now on."""
        for event in EVENTS:
            self._room.on(event, self.look)

    def unwatch(self) -> None:
        """Follow it no longer."""
        for event in EVENTS:
            self._room.off(event, self.look)

    def take_over(self, room_io: RoomIO) -> None:
        """Start to choose the track of a started session, if it uses one learner's audio."""
        self._input = accept_sources(room_io, SOURCES)
        self.look()

    def look(self, *_: object) -> None:
        """Use the best track now."""
        if self._input is not None:
            learner = self._room.remote_participants.get(self._lesson.learner.identity)
            voice = microphone_of(learner)
            self._input.set_track_sid(voice and voice.sid)

"""Which of the learner's tracks is listened to where LiveKit reads one learner's sound."""

from typing import Any, Final

from livekit import rtc
from livekit.agents.voice.room_io import RoomIO
from livekit.rtc.room import EventTypes

from loqua_host.contract.lesson import Lesson
from loqua_host.livekit_internals import accept_sources

__all__ = ["Microphone", "microphone_of"]

SOURCES: Final = (rtc.TrackSource.SOURCE_MICROPHONE, rtc.TrackSource.SOURCE_UNKNOWN)
"""What a voice may come from, best first: several SDKs publish without a source by default."""

EVENTS: Final[tuple[EventTypes, ...]] = ("track_subscribed", "track_unsubscribed")


def microphone_of(participant: rtc.RemoteParticipant | None) -> rtc.RemoteTrackPublication | None:
    """Return what a participant speaks by, if it can be heard: their microphone, if it is one."""
    published = participant.track_publications.values() if participant else ()
    voices = [
        one
        for one in published
        if isinstance(one.track, rtc.RemoteAudioTrack) and one.source in SOURCES
    ]
    return min(voices, key=lambda one: SOURCES.index(one.source), default=None)


class Microphone:
    """Has a session listen to the learner's voice whatever it is published as.

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
        """Choose what a session that has started listens to, if it listens to one learner."""
        self._input = accept_sources(room_io, SOURCES)
        self.look()

    def look(self, *_: object) -> None:
        """Listen to what is the best now."""
        if self._input is not None:
            learner = self._room.remote_participants.get(self._lesson.learner.identity)
            voice = microphone_of(learner)
            self._input.set_track_sid(voice and voice.sid)

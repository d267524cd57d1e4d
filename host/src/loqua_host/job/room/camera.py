"""The learner's latest picture."""

from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice.io import VideoInput

from loqua_host.contract.lesson import Lesson

__all__ = ["Camera"]


class Camera:
    """Keep the learner's latest video frame on the lesson, for tutors that declare video.

    Of other tutors' learners no video is received.

    Args:
        lesson: The lesson.
        room: The room, connected or not.
    """

    def __init__(self, lesson: Lesson[Any], room: rtc.Room) -> None:
        self._lesson = lesson
        self._room = room

    def follow(self, session: "AgentSession[Any]") -> None:
        """Follow the video input of a started session."""
        if (source := session.input.video) is not None:
            session.input.video = _Followed(source, self._on_frame)

    def watch(self) -> None:
        """Notice from now on when the camera is switched off."""
        self._room.on("track_muted", self._on_muted)
        self._room.on("track_unpublished", self._on_unpublished)

    def unwatch(self) -> None:
        """Notice it no longer."""
        self._room.off("track_muted", self._on_muted)
        self._room.off("track_unpublished", self._on_unpublished)

    def _on_frame(self, frame: rtc.VideoFrame) -> None:
        self._lesson.frame = frame

    def _on_muted(self, who: rtc.Participant, track: rtc.TrackPublication) -> None:
        self._forget(who, track)

    def _on_unpublished(
        self, track: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        self._forget(who, track)

    def _forget(self, who: rtc.Participant, track: rtc.TrackPublication) -> None:
        """Forget the picture of a camera that is off: it shows nothing any more."""
        is_learner = who.identity == self._lesson.learner.identity
        if is_learner and track.kind == rtc.TrackKind.KIND_VIDEO:
            self._lesson.frame = None


class _Followed(VideoInput):
    """A video input whose frames are seen on their way."""

    def __init__(self, source: VideoInput, on_frame: Callable[[rtc.VideoFrame], None]) -> None:
        super().__init__(label="lesson", source=source)
        self._on_frame = on_frame

    async def __anext__(self) -> rtc.VideoFrame:
        frame = await super().__anext__()
        self._on_frame(frame)
        return frame

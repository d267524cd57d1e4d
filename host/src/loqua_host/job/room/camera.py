"""Frames of the learner's camera or shared screen."""

import asyncio
from contextlib import aclosing

from livekit import rtc

__all__ = ["Camera"]

LOOK_SECONDS = 2.0
"""Maximum seconds to wait for a frame; the first one needs some tenths of a second."""

APART_SECONDS = 0.5
"""Seconds from one look to the next: of subscriptions that follow the end of another at once, also
after LiveKit has announced it, one in thirty never gets a track (LiveKit 1.13.5, rtc 1.1.21)."""


class Camera:
    """Receive the learner's video while a tutor looks.

    LiveKit's server sends video only to who subscribes to it, and decoding it costs processor time
    for each picture, wanted or not.

    Args:
        room: The room, in which no video is subscribed to by itself.
        identity: The learner's identity.
    """

    def __init__(self, room: rtc.Room, identity: str) -> None:
        self._room = room
        self._identity = identity
        self._looking = asyncio.Lock()
        self._is_subscribed = False
        self._earliest = 0.0

    async def look(self) -> rtc.VideoFrame | None:
        """Return the present picture; None if no camera is on, or none comes in time."""
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._looking:
                publication = self._shown()
                return await self._next_frame(publication) if publication else None
        except TimeoutError:
            return None

    def subscribe_all(self) -> None:
        """Receive all video of the learner's from now on, for a model that watches by itself."""
        self._is_subscribed = True
        if learner := self._room.remote_participants.get(self._identity):
            for publication in learner.track_publications.values():
                self._subscribe(publication, learner)
        self._room.on("track_published", self._subscribe)

    def _subscribe(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if participant.identity == self._identity and _is_video(publication):
            publication.set_subscribed(True)

    def _shown(self) -> rtc.RemoteTrackPublication | None:
        """Return the video that was published last and is on."""
        learner = self._room.remote_participants.get(self._identity)
        published = learner.track_publications.values() if learner else ()
        on = [it for it in published if _is_video(it) and not it.muted]
        return on[-1] if on else None

    async def _next_frame(self, publication: rtc.RemoteTrackPublication) -> rtc.VideoFrame | None:
        if self._is_subscribed and publication.track:
            return await _first_frame(publication.track)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._earliest - loop.time())
        subscribed: asyncio.Future[rtc.Track] = loop.create_future()

        def on_subscribed(
            track: rtc.Track, of: rtc.RemoteTrackPublication, _: rtc.RemoteParticipant
        ) -> None:
            if of.sid == publication.sid and not subscribed.done():
                subscribed.set_result(track)

        self._room.on("track_subscribed", on_subscribed)
        publication.set_subscribed(True)
        try:
            return await _first_frame(await subscribed)
        finally:
            self._room.off("track_subscribed", on_subscribed)
            publication.set_subscribed(self._is_subscribed)
            self._earliest = loop.time() + APART_SECONDS


async def _first_frame(track: rtc.Track) -> rtc.VideoFrame | None:
    async with aclosing(rtc.VideoStream.from_track(track=track, capacity=1)) as stream:
        async for event in stream:
            return event.frame
    return None


def _is_video(publication: rtc.TrackPublication) -> bool:
    return publication.kind == rtc.TrackKind.KIND_VIDEO

"""Relay of room events to the tutor's handlers."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Literal

import structlog
from livekit import rtc
from livekit.rtc.room import EventTypes

from loqua_host import events
from loqua_host.contract.lesson import Lesson
from loqua_host.errors import HookFailedError
from loqua_host.registry.caller import HookCaller

__all__ = ["EventRelay"]

log = structlog.get_logger()

MOST_WAITING = 100
"""Maximum of queued events; later ones are dropped, so that nobody can flood a tutor."""


class EventRelay:
    """Call a lesson's handlers with events, in order, one at a time."""

    def __init__(self, room: rtc.Room, lesson: Lesson, hooks: HookCaller) -> None:
        self._room = room
        self._lesson = lesson
        self._hooks = hooks
        self._waiting = asyncio.Queue[events.Event](MOST_WAITING)
        self._losing = False
        self._listeners: dict[EventTypes, Callable[..., None]] = {
            "participant_connected": self._on_connected,
            "participant_disconnected": self._on_disconnected,
            "participant_attributes_changed": self._on_attributes,
            "track_published": self._on_published,
            "track_unpublished": self._on_unpublished,
            "reconnecting": lambda: self.put(events.Reconnecting()),
            "reconnected": lambda: self.put(events.Reconnected()),
        }

    def watch(self) -> None:
        """Start to follow the room."""
        for event, handler in self._listeners.items():
            self._room.on(event, handler)

    def unwatch(self) -> None:
        """Stop following the room."""
        for event, handler in self._listeners.items():
            self._room.off(event, handler)

    def put(self, event: events.Event) -> None:
        """Queue an event for the handlers."""
        try:
            self._waiting.put_nowait(event)
            self._losing = False
        except asyncio.QueueFull:
            if not self._losing:
                log.warning("lesson.events_lost", hint="make event handlers return sooner")
            self._losing = True

    async def run(self) -> None:
        """Call the handlers until cancelled. Failures are logged."""
        while True:
            event = await self._waiting.get()
            for handler in self._lesson.handlers(event):
                with contextlib.suppress(HookFailedError):
                    await self._hooks.call_handler(handler, event)

    def _on_connected(self, who: rtc.RemoteParticipant) -> None:
        self.put(events.ParticipantConnected(who.identity, _kind(who), who.name))

    def _on_disconnected(self, who: rtc.RemoteParticipant) -> None:
        self.put(events.ParticipantDisconnected(who.identity, _kind(who)))

    def _on_attributes(self, changed: dict[str, str], who: rtc.Participant) -> None:
        self.put(events.ParticipantAttributesChanged(who.identity, dict(changed)))

    def _on_published(self, track: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        kind: Literal["audio", "video"] = (
            "audio" if track.kind == rtc.TrackKind.KIND_AUDIO else "video"
        )
        source = _word(rtc.TrackSource, track.source, "SOURCE_")
        self.put(events.TrackPublished(who.identity, track.sid, kind, source))

    def _on_unpublished(
        self, track: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        self.put(events.TrackUnpublished(who.identity, track.sid))


def _kind(who: rtc.Participant) -> str:
    return _word(rtc.ParticipantKind, who.kind, "PARTICIPANT_KIND_")


def _word(names: Any, number: int, prefix: str) -> str:
    """Return the name of one of LiveKit's enum values, also if it is unknown here."""
    known = {value: name for name, value in names.items()}
    return str(known.get(number, f"kind_{number}")).removeprefix(prefix).lower()

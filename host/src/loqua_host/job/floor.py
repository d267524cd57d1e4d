"""Who has the floor: the automatic tutor steps aside while a specialist is in the room."""

from collections.abc import Callable

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.rtc.room import EventTypes

__all__ = ["Floor", "is_specialist"]


def is_specialist(participant: rtc.Participant) -> bool:
    """Say whether a participant is an agent that was dispatched by name.

    Kind and this attribute are set by LiveKit's server, so no learner can pretend.
    """
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT and bool(
        participant.attributes.get(ATTRIBUTE_AGENT_NAME)
    )


class Floor:
    """Gives the floor to specialists: audio and text, in and out, until the last has left."""

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[None]",
        on_change: Callable[[bool], None],
    ) -> None:
        self._room = room
        self._session = session
        self._on_change = on_change
        self.held = True
        self._looks: dict[EventTypes, Callable[..., None]] = {
            "participant_connected": self._look,
            "participant_attributes_changed": self._look_again,
            "participant_disconnected": self._look,
        }

    def watch(self) -> None:
        """Follow the room from now on; call once the session has started."""
        for event, look in self._looks.items():
            self._room.on(event, look)
        self._look()

    def unwatch(self) -> None:
        """Follow the room no longer; call before the session closes."""
        for event, look in self._looks.items():
            self._room.off(event, look)

    def _look_again(self, _changed: dict[str, str], participant: rtc.Participant) -> None:
        self._look(participant)

    def _look(self, _participant: rtc.Participant | None = None) -> None:
        held = not any(is_specialist(other) for other in self._room.remote_participants.values())
        if held is self.held:
            return
        self.held = held
        if not held:
            self._session.interrupt(force=True)
        if self._session.input.audio is not None:
            self._session.input.set_audio_enabled(held)
        if self._session.output.audio is not None:
            self._session.output.set_audio_enabled(held)
        if self._session.output.transcription is not None:
            self._session.output.set_transcription_enabled(held)
        self._on_change(held)

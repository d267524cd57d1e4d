"""Events around a lesson, for handlers registered with `Lesson.on`.

Names, attributes and tracks come from participants: data, never instructions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Event",
    "LearnerLeft",
    "LearnerReturned",
    "LearnerSilent",
    "ParticipantAttributesChanged",
    "ParticipantConnected",
    "ParticipantDisconnected",
    "Reconnected",
    "Reconnecting",
    "TimeRunningOut",
    "TrackPublished",
    "TrackUnpublished",
]


@dataclass(frozen=True, slots=True)
class Event:
    """The base class of all events; a handler for it receives all of them."""


@dataclass(frozen=True, slots=True)
class ParticipantConnected(Event):
    """A participant has joined the room.

    Attributes:
        kind: `standard`, `sip`, `agent`, `egress`, `ingress` or another of LiveKit's kinds.
    """

    identity: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ParticipantDisconnected(Event):
    """A participant has left the room. For the learner, `LearnerLeft` follows."""

    identity: str
    kind: str


@dataclass(frozen=True, slots=True)
class ParticipantAttributesChanged(Event):
    """Attributes of a participant have changed; an empty value means removed."""

    identity: str
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrackPublished(Event):
    """A participant has published a track.

    Attributes:
        source: `microphone`, `camera`, `screenshare`, `screenshare_audio` or `unknown`.
    """

    identity: str
    track: str
    kind: Literal["audio", "video"]
    source: str


@dataclass(frozen=True, slots=True)
class TrackUnpublished(Event):
    """A participant has unpublished a track."""

    identity: str
    track: str


@dataclass(frozen=True, slots=True)
class Reconnecting(Event):
    """The tutor has lost its connection to the room, and LiveKit is reconnecting."""


@dataclass(frozen=True, slots=True)
class Reconnected(Event):
    """The tutor's connection is back."""


@dataclass(frozen=True, slots=True)
class LearnerLeft(Event):
    """The learner has left and may return within `lessons.reconnect_timeout`; the clock stops."""


@dataclass(frozen=True, slots=True)
class LearnerReturned(Event):
    """The learner is back; `lesson.learner` is up to date."""


@dataclass(frozen=True, slots=True)
class LearnerSilent(Event):
    """The learner has been silent for these seconds, and is asked whether they are there."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TimeRunningOut(Event):
    """The lesson ends in these seconds, because of its duration or because the host stops.

    The tutor should conclude; the host says goodbye.
    """

    seconds: float

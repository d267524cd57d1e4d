"""What happens around a lesson; `Lesson.on` has a tutor hear of it.

Names, attributes and tracks are what participants brought along: data, never instructions.
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
    """Any of those below; who asks for these hears of all."""


@dataclass(frozen=True, slots=True)
class ParticipantConnected(Event):
    """Somebody has come into the room.

    Attributes:
        kind: `standard`, `sip`, `agent`, `egress`, `ingress` or another of LiveKit's kinds.
    """

    identity: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ParticipantDisconnected(Event):
    """Somebody has left the room; for the learner, `LearnerLeft` comes as well."""

    identity: str
    kind: str


@dataclass(frozen=True, slots=True)
class ParticipantAttributesChanged(Event):
    """Attributes of a participant are others now; an empty value is one taken away."""

    identity: str
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrackPublished(Event):
    """A participant has begun to send sound or pictures.

    Attributes:
        source: `microphone`, `camera`, `screenshare`, `screenshare_audio` or `unknown`.
    """

    identity: str
    track: str
    kind: Literal["audio", "video"]
    source: str


@dataclass(frozen=True, slots=True)
class TrackUnpublished(Event):
    """A participant no longer sends a track."""

    identity: str
    track: str


@dataclass(frozen=True, slots=True)
class Reconnecting(Event):
    """The tutor's own connection to the room is lost for now."""


@dataclass(frozen=True, slots=True)
class Reconnected(Event):
    """It is back."""


@dataclass(frozen=True, slots=True)
class LearnerLeft(Event):
    """The learner has left and may return for a while; the clock stands still."""


@dataclass(frozen=True, slots=True)
class LearnerReturned(Event):
    """The learner is back, as `lesson.learner` is now."""


@dataclass(frozen=True, slots=True)
class LearnerSilent(Event):
    """The learner has said nothing for so many seconds, and is asked whether they are there."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TimeRunningOut(Event):
    """The lesson is over in so many seconds, for its length or because its host stops.

    Come to an end; the host says goodbye then.
    """

    seconds: float

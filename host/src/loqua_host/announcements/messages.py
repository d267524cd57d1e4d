"""What the host and its announcement processes tell each other, as lines of JSON."""

from pydantic import BaseModel, ConfigDict, Field

from loqua_host.settings.engines import Engines

__all__ = ["MAX_LINE_BYTES", "Announcement", "Began", "Sound", "Wanted"]

MAX_LINE_BYTES = 8 * 1024 * 1024
"""More than a minute of sound."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Sound(BaseModel):
    """A sound.

    Attributes:
        rate: Samples a second.
        samples: 16-bit samples of one channel, in the machine's byte order.
    """

    model_config = _FROZEN

    rate: int = Field(ge=8000, le=48_000)
    samples: bytes = Field(repr=False)


class Announcement(BaseModel):
    """What is to be played in a room, and shown there as its transcript.

    Attributes:
        id: What the answer is known by.
        url: LiveKit's address.
        token: The right to enter the room.
        text: The transcript; nothing is shown if it is empty.
        sound: What is played.
    """

    model_config = _FROZEN

    id: int
    url: str
    token: str = Field(repr=False)
    text: str
    sound: Sound


class Began(BaseModel):
    """An announcement is being heard, or failed for a reason."""

    model_config = _FROZEN

    id: int
    failure: str | None = None


class Wanted(BaseModel):
    """A sentence that is to be spoken by a tutor's voice; with the secrets of its engines."""

    model_config = _FROZEN

    engines: Engines
    language: str
    text: str
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)

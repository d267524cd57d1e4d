"""Messages between the host and its announcement processes, as lines of JSON."""

from pydantic import BaseModel, ConfigDict, Field

from loqua_host.settings.engines import Engines

__all__ = ["MAX_LINE_BYTES", "Announcement", "Began", "Sound", "Wanted"]

MAX_LINE_BYTES = 8 * 1024 * 1024
"""The maximum size of a message: more than a minute of audio."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Sound(BaseModel):
    """A mono audio clip.

    Attributes:
        rate: Samples per second.
        samples: 16-bit samples of one channel, in the machine's byte order.
    """

    model_config = _FROZEN

    rate: int = Field(ge=8000, le=48_000)
    samples: bytes = Field(repr=False)


class Announcement(BaseModel):
    """An announcement to play in a room, with its transcript.

    Attributes:
        id: The id of the announcement, repeated in the answer.
        url: LiveKit's address.
        token: A token for the room.
        text: The transcript; none if it is empty.
        sound: The audio.
    """

    model_config = _FROZEN

    id: int
    url: str
    token: str = Field(repr=False)
    text: str
    sound: Sound


class Began(BaseModel):
    """The result of an announcement: it is heard, or failed for a reason."""

    model_config = _FROZEN

    id: int
    failure: str | None = None


class Wanted(BaseModel):
    """A sentence to synthesise with a tutor's engines and their secrets."""

    model_config = _FROZEN

    engines: Engines
    language: str
    text: str
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)

"""Frames of the learner's camera or screen for the language model.

A language model that sees gets the picture itself. Without one, the tutor tells the colour of what
is held before the camera, or that it cannot tell.
"""

from collections import Counter
from collections.abc import Iterator
from colorsys import rgb_to_hsv
from typing import Literal

from livekit import rtc
from livekit.agents import llm

__all__ = ["Colour", "show_to_model", "shown_colour"]

Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink"]

_HUES: tuple[tuple[float, Colour], ...] = (
    (15, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (255, "blue"),
    (295, "purple"),
    (345, "pink"),
    (360, "red"),
)
"""Where each colour ends, in degrees of hue."""

_LEAST_SATURATION = 0.45
"""Skin and walls lie below."""

_LEAST_BRIGHTNESS = 0.25
_DOMINANT = 0.6
"""Share of the picture's centre that has one colour when something is held before the camera."""

_SAMPLES = 24
_MODEL_SIZE = 512


def shown_colour(frame: rtc.VideoFrame) -> Colour | None:
    """Return the colour of what fills the centre of a picture, or None if it is not certain.

    Black, white and grey are none: walls and clothes have them.
    """
    colours = Counter(map(_colour, _centre(frame)))
    colour, count = colours.most_common(1)[0]
    return colour if count >= _DOMINANT * colours.total() else None


def show_to_model(context: llm.ChatContext, frame: rtc.VideoFrame) -> llm.ChatContext:
    """Return a context whose last message of the learner has a picture; the original keeps none."""
    shown = context.copy()
    for at in reversed(range(len(shown.items))):
        message = shown.items[at]
        if message.type == "message" and message.role == "user":
            picture = llm.ImageContent(
                image=frame, inference_width=_MODEL_SIZE, inference_height=_MODEL_SIZE
            )
            content = [*message.content, picture]
            shown.items[at] = message.model_copy(update={"content": content})
            break
    return shown


def _centre(frame: rtc.VideoFrame) -> Iterator[tuple[int, int, int]]:
    """Yield points of the middle third of a picture, as red, green and blue."""
    picture = frame
    for kind in (rtc.VideoBufferType.I420, rtc.VideoBufferType.RGB24):  # LiveKit has no other way
        if picture.type not in (kind, rtc.VideoBufferType.RGB24):
            picture = picture.convert(kind)
    pixels, width, height = bytes(picture.data), picture.width, picture.height
    for row in range(_SAMPLES):
        y = height // 3 + row * (height // 3) // _SAMPLES
        for column in range(_SAMPLES):
            at = 3 * (y * width + width // 3 + column * (width // 3) // _SAMPLES)
            yield pixels[at], pixels[at + 1], pixels[at + 2]


def _colour(point: tuple[int, int, int]) -> Colour | None:
    hue, saturation, brightness = rgb_to_hsv(*(it / 255 for it in point))
    if saturation < _LEAST_SATURATION or brightness < _LEAST_BRIGHTNESS:
        return None
    return next(colour for end, colour in _HUES if 360 * hue <= end)

"""The speed of the tutor's voice."""

import inspect

__all__ = ["set_speed"]


def set_speed(voice: object, speed: float) -> None:
    """Set the speed of a voice, if its engine supports it.

    LiveKit's plugins have no common option for it, but those of OpenAI and others, and thereby
    the offline engine, take `update_options(speed=…)`. A list of engines with fallbacks does not.

    Args:
        voice: The session's `tts`.
        speed: Factor of the engine's normal speed; 1 leaves the configured one.
    """
    update = getattr(voice, "update_options", None)
    if speed != 1 and update is not None and "speed" in inspect.signature(update).parameters:
        update(speed=speed)

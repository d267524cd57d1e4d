"""The speed of the tutor's voice."""

import pytest
from livekit.plugins import openai

from loqua_tutor_conversation.speech_speed import set_speed


@pytest.mark.parametrize(("speed", "set_to"), [(0.85, 0.85), (1, 1.1)], ids=["slow", "normal"])
def test_a_voice_is_slowed_down(speed: float, set_to: float) -> None:
    """The normal pace leaves what the operator configured."""
    voice = openai.TTS(api_key="-", speed=1.1)
    set_speed(voice, speed)
    assert voice._opts.speed == set_to


@pytest.mark.parametrize("voice", [None, object()], ids=["none", "no_option"])
def test_a_voice_that_cannot_be_told_speaks_as_it_does(voice: object) -> None:
    """Such as a list of engines."""
    set_speed(voice, 0.85)

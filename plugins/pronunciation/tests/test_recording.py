"""The audio of an attempt for playback."""

from livekit import rtc

from loqua_tutor_pronunciation.recording import trimmed

FRAME = rtc.AudioFrame(bytes(4800), 24_000, 1, 2400)
"""A tenth of a second."""

LOUD = rtc.AudioFrame(b"\x00\x40" * 2400, 24_000, 1, 2400)


def test_a_replay_has_no_silence_around_speech() -> None:
    """But the tenths beside it, in which its first and last sounds are."""
    recording = (FRAME,) * 10 + (LOUD, FRAME, LOUD) + (FRAME,) * 10

    assert len(trimmed(recording)) == 3 + 2 * 2


def test_of_silence_there_is_nothing_to_replay() -> None:
    """No frame."""
    assert trimmed((FRAME,) * 3) == ()
    assert trimmed(()) == ()

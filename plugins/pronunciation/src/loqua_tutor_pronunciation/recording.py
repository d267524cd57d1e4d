"""The audio of the learner's last attempt, for playback."""

from livekit import rtc

__all__ = ["Recording", "trimmed"]

Recording = tuple[rtc.AudioFrame, ...]

_QUIET = 0.05
"""Share of the loudest sample below which a frame is no speech."""

_AROUND_SECONDS = 0.2
"""Of quiet sound kept around speech: its first and last sounds are quiet."""


def trimmed(recording: Recording) -> Recording:
    """Return a recording without the silence before and after speech."""
    peaks = [max(map(abs, frame.data), default=0) for frame in recording]
    loud = [at for at, peak in enumerate(peaks) if peak and peak > _QUIET * max(peaks)]
    if not loud:
        return ()
    around = round(_AROUND_SECONDS / recording[0].duration)
    return recording[max(0, loud[0] - around) : loud[-1] + around + 1]

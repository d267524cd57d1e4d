"""Makes the forkserver's imports immortal; imported last, before LiveKit's freeze."""

from .immortal import immortalize

immortalize()

"""Makes what the forkserver has imported immortal; the last import but LiveKit's freeze."""

from .immortal import immortalize

immortalize()

"""Free ports for servers that must know theirs before they start."""

import secrets
import socket
from contextlib import suppress

__all__ = ["free_port"]

FIRST, LAST = 20_000, 32_000
"""Below those that Linux gives to outgoing connections, which could take one at any moment."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a free port of the loopback interface.

    Args:
        kind: `SOCK_STREAM` for TCP, `SOCK_DGRAM` for UDP.
    """
    while True:
        port = secrets.choice(range(FIRST, LAST))
        with suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))
            return port

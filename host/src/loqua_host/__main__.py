"""The command `loqua-host`."""

import signal
import sys
from types import FrameType
from typing import Never

from loqua_host.system.environment import forget_environment, restart_with_clean_environ

__all__ = ["main"]

WITH_SECRETS = frozenset({"check", "drain", "records", "region", "run", "timeline", "top"})
"""The commands that read secrets."""

SHARED = ("loqua_host.job.entrypoint", "loqua_host.announcements.player")
"""What the host and its jobs both import, LiveKit above all."""

JOBS_ONLY = ("loqua_host.job.preload", "livekit.agents.ipc._preload")
"""What jobs alone need, whatever is configured."""


def main() -> None:
    """Run the command line; first, without importing it, remove secrets from the environment.

    A host also forks the process that its jobs will be forked from, which holds none of them.
    """
    command = sys.argv[1:2]
    if WITH_SECRETS.intersection(command):
        restart_with_clean_environ(sys.argv[1:])
    zygote = None
    if command == ["run"]:
        # PID 1 of a container ignores SIGTERM unless it has a handler; the host sets its own later.
        signal.signal(signal.SIGTERM, _end)
        from loqua_host.system.zygote import fork_zygote  # noqa: PLC0415  # as below

        zygote = fork_zygote(SHARED, JOBS_ONLY, forget_environment)
    from loqua_host.cli import app  # noqa: PLC0415  # imported once, by the process that stays

    app(obj=zygote)


def _end(number: int, _frame: FrameType | None) -> Never:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()

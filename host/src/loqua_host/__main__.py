"""The command `loqua-host`."""

import sys

from loqua_host.system.process import restart_sealed

__all__ = ["main"]

WITH_SECRETS = frozenset({"check", "drain", "records", "run", "timeline", "top"})
"""The commands that read secrets."""


def main() -> None:
    """Run the command line; first, without importing it, remove secrets from the environment."""
    if WITH_SECRETS.intersection(sys.argv[1:2]):
        restart_sealed(sys.argv[1:])
    from loqua_host.cli import app  # noqa: PLC0415  # imported once, by the process that stays

    app()


if __name__ == "__main__":
    main()

"""A rotation of each kind of secret under running lessons, and the failed requests.

Run from the project's root with `python -m tests.bench.rotation [lessons]`; prints its figures
as JSON, and ends with 0 if nothing failed and each lesson has its one record.
"""

import asyncio
import json
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.prefetching import install
from tests.integration.host.rotating_host import livekit_with_a_spare_key, rotating

LESSONS = 20
TOKEN_SECONDS = 16
KINDS = (
    "shared_secret",
    "agent_jwt",
    "livekit_key",
    "tutors_secret",
    "ops_token",
    "ledger_key",
)


async def main(lessons: int) -> int:
    """Rotate each secret, and enter a learner after each rotation."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plugins = install(directory)
        async with (
            livekit_with_a_spare_key(port) as livekit,
            rotating(livekit, plugins, directory, lessons, TOKEN_SECONDS) as world,
        ):
            seconds: dict[str, float] = {}
            for kind in KINDS:
                began = time.monotonic()
                await getattr(world, kind)()
                seconds[kind] = round(time.monotonic() - began, 1)
                await world.enter()
            figures: dict[str, Any] = {"seconds_to_take_effect": seconds, **await world.leave()}
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return int(bool(figures["failures"]) or figures["records"] != figures["lessons"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else LESSONS)))

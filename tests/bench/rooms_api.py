"""The cost of polling the rooms of a LiveKit server, as every host does every two seconds.

Run `uv run python -m tests.bench.rooms_api [rooms]...`; prints a line of JSON for each number. The
server and its rooms are real, and so are the reconciler and the ledger (SQLite); the rooms are
empty, so each is asked for its participants only. `look` reads all of them, as while they are new;
`look_when_quiet` lists them and reads some. A room with a learner costs a second request, for
its dispatches (`dispatches_ms`), and both ledger queries, which are made here, too.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from livekit import api

from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import Sealed
from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.host_metrics import HostMetrics
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.reconciler import POLL_SECONDS, Reconciler
from loqua_host.lessons.room_sweep import SETTLE_SECONDS
from loqua_host.lessons.services import Services
from loqua_host.records.ledger import Ledger
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.tasks import background

AT_ONCE = 50
LOOKS = 1
TICKS = os.sysconf("SC_CLK_TCK")

SETTINGS = HostSettings.model_validate(
    {
        "agent_id": "loqua-host",
        "livekit": {"url": "ws://livekit"},
        "api": {"api_base_url": "http://api"},
        "environment": "development",
        "tutors": (),
    }
)


class NoLessons:
    """A host without lessons."""

    def see(self, *_: Any) -> None:
        """Count participants."""

    def running(self, _: str) -> list[Any]:
        """List none."""
        return []


def server_seconds() -> float:
    """Return the processor time of the LiveKit servers that this process started."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(fields[1]) == os.getpid():
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


async def timed(work: Callable[[], Awaitable[object]], times: int = LOOKS) -> dict[str, float]:
    """Return what some work takes: seconds, and processor seconds here and in LiveKit."""
    begun, here, there = time.perf_counter(), time.process_time(), server_seconds()
    for _ in range(times):
        await work()
    ended = time.perf_counter(), time.process_time(), server_seconds()
    names = ("seconds", "host_cpu", "livekit_cpu")
    pairs = zip(names, ended, (begun, here, there), strict=True)
    return {name: round((after - before) / times, 4) for name, after, before in pairs}


async def fill(server: LiveKitServer, first: int, last: int) -> None:
    """Create rooms."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        for start in range(first, last, AT_ONCE):
            await asyncio.gather(
                *(
                    livekit.room.create_room(
                        api.CreateRoomRequest(name=f"room-{number}", empty_timeout=3600)
                    )
                    for number in range(start, min(start + AT_ONCE, last))
                )
            )


async def listed_bytes(server: LiveKitServer) -> int:
    """Return the size of a list of all rooms."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        answer = await livekit.room.list_rooms(api.ListRoomsRequest())
    return answer.ByteSize()


async def measured(sizes: Sequence[int]) -> AsyncIterator[dict[str, Any]]:
    """Yield the figures of growing numbers of rooms."""
    with tempfile.TemporaryDirectory() as directory:
        database = SqliteDatabase(Path(directory) / "ledger.db")
        async with (
            run_livekit(say=lambda _: None) as server,
            Ledger.open(database) as ledger,
            background() as tasks,
            Rooms.open(
                server.url, LiveKitKey(Sealed(server.api_key), Sealed(server.api_secret))
            ) as rooms,
        ):
            services = Services(
                rooms=rooms,
                api=None,  # type: ignore[arg-type]  # not called
                ledger=ledger,
                delivery=None,  # type: ignore[arg-type]  # likewise
                dispatch_state=DispatchState(time.monotonic, lambda _: None),
                tutors={},
                settings=lambda: SETTINGS,
                tasks=tasks,
                clock=SystemClock(),
                metrics=HostMetrics().lessons,
            )
            capacity = Capacity(0, {})
            reconciler = Reconciler(services, lambda: capacity, NoLessons(), lambda _: None)
            filled = 0
            for size in sizes:
                await fill(server, filled, size)
                filled = size
                figures = await measure(size, rooms, reconciler)
                figures["list_bytes"] = await listed_bytes(server)
                yield figures


async def measure(size: int, rooms: Rooms, reconciler: Reconciler) -> dict[str, Any]:
    """Return the figures for the rooms that there are."""
    listed, looked = await timed(rooms.counts), await timed(reconciler.look)
    await asyncio.sleep(SETTLE_SECONDS)
    await reconciler.look()
    await asyncio.sleep(POLL_SECONDS)
    swept = await timed(reconciler.look, times=1)
    asked = [f"room-{number}" for number in range(min(size, 200))]
    begun = time.perf_counter()
    for name in asked:
        await rooms.dispatched(name)
    dispatches = (time.perf_counter() - begun) * 1000 / len(asked)
    return {
        "rooms": size,
        "list": listed,
        "look": looked,
        "look_when_quiet": swept,
        "dispatches_ms": round(dispatches, 2),
    }


async def main(sizes: Sequence[int]) -> None:
    """Measure and print."""
    async for figures in measured(sizes):
        print(json.dumps(figures), flush=True)  # noqa: T201  # the result


if __name__ == "__main__":
    asyncio.run(main([int(one) for one in sys.argv[1:]] or [100, 1000, 10_000]))

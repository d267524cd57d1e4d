"""The overhead of a hook call in the host: its task, time limit and trace."""

import asyncio
import time
from typing import Any

import pluggy

from loqua_host import Progress, Tick, Tutor, hookimpl
from loqua_host.contract import hookspecs
from loqua_host.contract.hookspecs import PROJECT
from loqua_host.registry.caller import HookCaller
from loqua_host.registry.loader import LoadedTutor
from loqua_host.settings.hooks import HookLimits

__all__ = ["compare"]

CALLS = 500
LESSON: Any = object()
TICK = Tick(number=1, seconds=30)


class _Plugin:
    @hookimpl
    async def on_progress_tick(self, lesson: object, tick: Tick) -> Progress:
        del lesson, tick
        return Progress(words_learned=1)


async def compare(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a call in each round, of `pluggy` by itself and of the `host`."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(_Plugin())
    caller = HookCaller(LoadedTutor("bench", manager, Tutor(name="bench")), HookLimits())
    found: dict[str, list[float]] = {"pluggy": [], "host": []}
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(CALLS):
            [called] = manager.hook.on_progress_tick(lesson=LESSON, tick=TICK)
            await called
        between = time.process_time()
        for _ in range(CALLS):
            await caller.on_progress_tick(LESSON, TICK)
        found["pluggy"].append((between - begun) / CALLS)
        found["host"].append((time.process_time() - between) / CALLS)
        await asyncio.sleep(0)
    return found

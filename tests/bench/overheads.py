"""Parts of the host compared with the libraries that they use, in alternating rounds."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final

from tests.bench import core_calls, hooks, ledger, progress_load, rooms_api, voice_capacity
from tests.bench.figures import OURS, Figures
from tests.bench.scenarios import IN_TIME

__all__ = ["OVERHEADS"]

TURNS: Final = 4
"""In each round of the whole: these are short."""

LEDGER_ROWS: Final = (1_000, 10_000, 100_000, 1_000_000)
ROOMS: Final = (10, 100, 1_000, 10_000)


def _hook(rounds: int) -> Figures:
    found = asyncio.run(hooks.compare(TURNS * rounds))
    return {"hook_call": {"pluggy": found["pluggy"], OURS: found["host"]}}


def _core(rounds: int) -> Figures:
    found = core_calls.compare(TURNS * rounds)
    systems = {"httpx": found["httpx"], OURS: found["core"]}
    return {
        "api_calls": {system: [it.rate for it in of] for system, of in systems.items()},
        "api_call_p99": {system: [it.p99 for it in of] for system, of in systems.items()},
    }


def _ledger(rounds: int) -> Figures:
    return {f"ledger/rows/{rows}": _progress(rows, rounds) for rows in LEDGER_ROWS}


def _progress(rows: int, rounds: int) -> Mapping[str, Sequence[float]]:
    rates = asyncio.run(ledger.compare("sqlite", rows, TURNS * rounds))["rates"]
    return {"single commits": rates["bare"], OURS: rates["ledger"]}


def _rooms(rounds: int) -> Figures:
    """Return the processor time of the reconciler's look at all rooms, new or known."""
    found = [it for _ in range(rounds) for it in asyncio.run(_looks())]
    return {
        f"rooms/look/{rooms}": {
            "rooms that are new": [it["look"]["host_cpu"] for it in found if it["rooms"] == rooms],
            "known rooms": [
                it["look_when_quiet"]["host_cpu"] for it in found if it["rooms"] == rooms
            ],
        }
        for rooms in ROOMS
    }


async def _looks() -> list[Mapping[str, Any]]:
    return [figures async for figures in rooms_api.measured(ROOMS)]


def _ticking(rounds: int) -> Figures:
    # In a process of its own, which the host's log and nothing else of the bench is in.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        found = [process.submit(progress_load.measure).result() for _ in range(rounds)]
    return {
        "ticking_cores": {OURS: [it.cores for it in found]},
        "ticking_p99": {OURS: [it.p99 for it in found]},
    }


def _spoken(rounds: int) -> Figures:
    """Return the figures of lessons with offline speech."""
    found = [voice_capacity.measure_capacity(IN_TIME) for _ in range(rounds)]
    p95 = {count: [by_count.get(count) for _, by_count in found] for count in found[0][1]}
    return {
        "carried_spoken": {OURS: [count for count, _ in found]},
        **{f"spoken/reply/{count}": {OURS: [it for it in of if it]} for count, of in p95.items()},
    }


OVERHEADS: Final[Mapping[str, Callable[[int], Figures]]] = {
    "hook": _hook,
    "core": _core,
    "ledger": _ledger,
    "rooms": _rooms,
    "ticking": _ticking,
    "spoken": _spoken,
}

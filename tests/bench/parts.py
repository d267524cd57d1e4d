"""Parts of the host beside what they are made of, each in turns with it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.bench import core_calls, hooks, ledger
from tests.bench.figures import OURS, Figures

__all__ = ["PARTS"]

TURNS: Final = 4
"""In each round of the whole: these are short."""

LEDGER_ROWS: Final = (1_000, 10_000, 100_000, 1_000_000)


def _hook(rounds: int) -> Figures:
    found = asyncio.run(hooks.compare(TURNS * rounds))
    return {"hook_call": {"pluggy": found["pluggy"], OURS: found["host"]}}


def _core(rounds: int) -> Figures:
    found = core_calls.compare(TURNS * rounds)
    sides = {"httpx": found["httpx"], OURS: found["core"]}
    return {
        "api_calls": {side: [it.rate for it in of] for side, of in sides.items()},
        "api_call_p99": {side: [it.p99 for it in of] for side, of in sides.items()},
    }


def _ledger(rounds: int) -> Figures:
    return {f"ledger/rows/{rows}": _progress(rows, rounds) for rows in LEDGER_ROWS}


def _progress(rows: int, rounds: int) -> Mapping[str, Sequence[float]]:
    rates = asyncio.run(ledger.compare("sqlite", rows, TURNS * rounds))["rates"]
    return {"single commits": rates["bare"], OURS: rates["ledger"]}


PARTS: Final[Mapping[str, Callable[[int], Figures]]] = {
    "hook": _hook,
    "core": _core,
    "ledger": _ledger,
}

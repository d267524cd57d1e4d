"""The values of all rows, stored between runs."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

__all__ = ["BARE", "OURS", "WITH_WEBHOOKS", "Figures", "load", "ratio", "save"]

Figures = dict[str, Mapping[str, Sequence[float]]]
"""All values by row and side; infinite for what never came."""

OURS: Final = "loqua-host"
WITH_WEBHOOKS: Final = "loqua-host, webhooks"
BARE: Final = "livekit-agents"
FILE: Final = Path(__file__).with_name("results.json")


def load() -> Figures:
    """Return the values of the last runs."""
    if not FILE.exists():
        return {}
    written = json.loads(FILE.read_text())
    return {
        row: {
            system: [math.inf if it is None else it for it in of] for system, of in systems.items()
        }
        for row, systems in written.items()
    }


def save(figures: Figures) -> None:
    """Keep values, as JSON: null for what never came."""
    written = {
        row: {system: [_digits(it) for it in of] for system, of in systems.items()}
        for row, systems in figures.items()
    }
    rows = [f" {json.dumps(row)}: {json.dumps(systems)}" for row, systems in written.items()]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def ratio(systems: Mapping[str, Sequence[float]], ours: str, theirs: str) -> float:
    """Return what one side needs of what the other does; not a number if the other has nothing."""
    one, other = median(systems[ours]), median(systems[theirs])
    return one / other if other and math.isfinite(other) else math.nan


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None

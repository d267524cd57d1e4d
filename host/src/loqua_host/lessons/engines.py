"""The choice of a new lesson's engines: those that serve the running lessons."""

from collections.abc import Iterable, Mapping
from statistics import median_low

from loqua_host.link.messages import ENGINE_KINDS, EngineKind

__all__ = ["first_engines"]


def first_engines(serving: Iterable[Mapping[EngineKind, int]]) -> dict[EngineKind, int]:
    """Return the index of the engine, by kind, that serves most lessons.

    A new lesson thus avoids an engine that is down, and still tries one that failed in a single
    lesson.

    Args:
        serving: The serving engines of each running lesson of the tutor.
    """
    listed = tuple(serving)
    by_kind = {kind: [one[kind] for one in listed if kind in one] for kind in ENGINE_KINDS}
    return {kind: median_low(indices) for kind, indices in by_kind.items() if indices}

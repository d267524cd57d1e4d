"""Which engines of lists a new lesson begins with: those that serve the others."""

from collections.abc import Iterable, Mapping
from statistics import median_low

from loqua_host.link.messages import ENGINE_KINDS, EngineKind

__all__ = ["first_engines"]


def first_engines(serving: Iterable[Mapping[EngineKind, int]]) -> dict[EngineKind, int]:
    """Return the index of the engine, by kind, that most lessons are served by.

    Nobody has to find out again that an engine is down; an engine that failed one lesson of many
    is tried.

    Args:
        serving: For each running lesson of the tutor, which engine serves it.
    """
    told = tuple(serving)
    by_kind = {kind: [one[kind] for one in told if kind in one] for kind in ENGINE_KINDS}
    return {kind: median_low(indices) for kind, indices in by_kind.items() if indices}

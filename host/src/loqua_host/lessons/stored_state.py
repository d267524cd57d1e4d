"""What a lesson keeps for the tutor that may go on with it, and for its record: one state."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter

from loqua_host.contract.handoff import Utterance
from loqua_host.link.messages import EngineKind
from loqua_host.records.session_record import Composed
from loqua_host.records.traces import TRACE

__all__ = [
    "engines_used",
    "keep",
    "keep_ending",
    "kept_ending",
    "kept_state",
    "kept_turns",
    "use_engine",
]

TURNS = "loqua.turns"
"""Where the last turns are kept beside the tutor's own notes."""

ENGINES = "loqua.engines"
"""Where the engines are kept that served, by kind."""

ENDING = "loqua.ending"
"""Where the record of a lesson is kept whose learner left and may return."""

OWN = frozenset({TURNS, ENGINES, ENDING, TRACE})

_ENGINES = TypeAdapter(dict[EngineKind, tuple[int, ...]])
_TURNS = TypeAdapter(tuple[Utterance, ...])
_ENDING = TypeAdapter(Composed)


def keep(
    kept: Mapping[str, JsonValue],
    state: Mapping[str, JsonValue] | None,
    turns: Sequence[Utterance],
) -> dict[str, JsonValue]:
    """Return what is kept of a lesson that goes on.

    Args:
        kept: What was kept before.
        state: The tutor's notes; None keeps those of before.
        turns: The last turns.
    """
    notes = kept_state(kept if state is None else state)
    own = {name: kept[name] for name in (ENGINES, TRACE) if name in kept}
    return {**notes, **own, TURNS: _TURNS.dump_python(tuple(turns), mode="json")}


def keep_ending(kept: Mapping[str, JsonValue], ending: Composed) -> dict[str, JsonValue]:
    """Return what is kept, with how the lesson ends if its learner, who left, does not return."""
    return {**kept, ENDING: _ENDING.dump_python(ending, mode="json")}


def use_engine(kept: Mapping[str, JsonValue], kind: EngineKind, index: int) -> dict[str, JsonValue]:
    """Return what is kept, with an engine among those that served."""
    used = _used(kept)
    used[kind] = tuple(sorted({*used.get(kind, ()), index}))
    return {**kept, ENGINES: _ENGINES.dump_python(used, mode="json")}


def engines_used(kept: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return a line for each kind with a list, such as `engines.tts: [0], [1] served`."""
    used = _used(kept)
    return tuple(f"engines.{kind}: {_listed(used[kind])} served" for kind in sorted(used))


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(f"[{index}]" for index in indices)


def _used(kept: Mapping[str, JsonValue]) -> dict[EngineKind, tuple[int, ...]]:
    return _ENGINES.validate_python(kept.get(ENGINES, {}), strict=False)


def kept_state(kept: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the tutor's notes."""
    return {name: value for name, value in kept.items() if name not in OWN}


def kept_turns(kept: Mapping[str, JsonValue]) -> tuple[Utterance, ...]:
    """Return the last turns; a lesson that an earlier version kept has none."""
    return _TURNS.validate_python(kept.get(TURNS, ()), strict=False)


def kept_ending(kept: Mapping[str, JsonValue]) -> Composed | None:
    """Return how a lesson ends whose learner left and did not return, if it was left so."""
    return _ENDING.validate_python(kept[ENDING], strict=False) if ENDING in kept else None

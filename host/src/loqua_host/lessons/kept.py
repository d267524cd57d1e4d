"""What a lesson keeps for the tutor that may go on with it, and for its record: one state."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter

from loqua_host.contract.engines import EngineKind
from loqua_host.contract.handoff import Utterance

__all__ = ["engines_used", "keep", "kept_state", "kept_turns", "use_engine"]

TURNS = "loqua.turns"
"""Where the last turns are kept beside the tutor's own notes."""

ENGINES = "loqua.engines"
"""Where the engines are kept that served, by kind."""

OWN = frozenset({TURNS, ENGINES})

_ENGINES = TypeAdapter(dict[EngineKind, tuple[int, ...]])
_TURNS = TypeAdapter(tuple[Utterance, ...])


def keep(
    kept: Mapping[str, JsonValue],
    state: Mapping[str, JsonValue] | None,
    turns: Sequence[Utterance],
) -> dict[str, JsonValue]:
    """Return what is kept, with the last turns and, where there are any, new notes of the tutor."""
    notes = kept_state(kept if state is None else state)
    told = {TURNS: _TURNS.dump_python(tuple(turns), mode="json")}
    return {**notes, **{name: kept[name] for name in OWN & kept.keys()}, **told}


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
    """Get the tutor's notes."""
    return {name: value for name, value in kept.items() if name not in OWN}


def kept_turns(kept: Mapping[str, JsonValue]) -> tuple[Utterance, ...]:
    """Get the last turns; a lesson that an earlier version kept has none."""
    return _TURNS.validate_python(kept.get(TURNS, ()), strict=False)

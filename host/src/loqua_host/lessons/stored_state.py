"""The saved state of a lesson, for the job that may resume it and for its record."""

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
"""The key of the last turns, beside the tutor's own state."""

ENGINES = "loqua.engines"
"""The key of the engines that have served, by kind."""

ENDING = "loqua.ending"
"""The key of the record of a lesson whose learner left and may return."""

OWN = frozenset({TURNS, ENGINES, ENDING, TRACE})

_ENGINES = TypeAdapter(dict[EngineKind, tuple[int, ...]])
_TURNS = TypeAdapter(tuple[Utterance, ...])
_ENDING = TypeAdapter(Composed)


def keep(
    kept: Mapping[str, JsonValue],
    state: Mapping[str, JsonValue] | None,
    turns: Sequence[Utterance],
) -> dict[str, JsonValue]:
    """Return the saved state of a running lesson.

    Args:
        kept: The previous saved state.
        state: The tutor's own state; None keeps the previous one.
        turns: The last turns.
    """
    notes = kept_state(kept if state is None else state)
    own = {name: kept[name] for name in (ENGINES, TRACE) if name in kept}
    return {**notes, **own, TURNS: _TURNS.dump_python(tuple(turns), mode="json")}


def keep_ending(kept: Mapping[str, JsonValue], ending: Composed) -> dict[str, JsonValue]:
    """Return the saved state with the record to use if the learner does not return."""
    return {**kept, ENDING: _ENDING.dump_python(ending, mode="json")}


def use_engine(kept: Mapping[str, JsonValue], kind: EngineKind, index: int) -> dict[str, JsonValue]:
    """Return the saved state with an engine added to those that have served."""
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
    """Return the tutor's own state."""
    return {name: value for name, value in kept.items() if name not in OWN}


def kept_turns(kept: Mapping[str, JsonValue]) -> tuple[Utterance, ...]:
    """Return the last turns, if there are any."""
    return _TURNS.validate_python(kept.get(TURNS, ()), strict=False)


def kept_ending(kept: Mapping[str, JsonValue]) -> Composed | None:
    """Return the record to use if the learner does not return, if there is one."""
    return _ENDING.validate_python(kept[ENDING], strict=False) if ENDING in kept else None

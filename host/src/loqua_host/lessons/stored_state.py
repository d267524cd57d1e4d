"""The saved state of a lesson, for the job that may resume it and for its record."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter

from loqua_host.contract.handoff import Utterance
from loqua_host.link.messages import EngineKind
from loqua_host.records.session_record import Composed
from loqua_host.records.traces import TRACE

__all__ = [
    "add_ending",
    "add_engine",
    "build_state",
    "engines_used",
    "last_turns",
    "saved_ending",
    "tutor_state",
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


def build_state(
    saved: Mapping[str, JsonValue],
    state: Mapping[str, JsonValue] | None,
    turns: Sequence[Utterance],
) -> dict[str, JsonValue]:
    """Return the saved state of a running lesson.

    Args:
        saved: The previous saved state.
        state: The tutor's own state; None keeps the previous one.
        turns: The last turns.
    """
    notes = tutor_state(saved if state is None else state)
    own = {name: saved[name] for name in (ENGINES, TRACE) if name in saved}
    return {**notes, **own, TURNS: _TURNS.dump_python(tuple(turns), mode="json")}


def add_ending(saved: Mapping[str, JsonValue], ending: Composed) -> dict[str, JsonValue]:
    """Return the saved state with the record to use if the learner does not return."""
    return {**saved, ENDING: _ENDING.dump_python(ending, mode="json")}


def add_engine(
    saved: Mapping[str, JsonValue], kind: EngineKind, index: int
) -> dict[str, JsonValue]:
    """Return the saved state with an engine added to those that have served."""
    used = _used(saved)
    used[kind] = tuple(sorted({*used.get(kind, ()), index}))
    return {**saved, ENGINES: _ENGINES.dump_python(used, mode="json")}


def engines_used(saved: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return a line for each kind with a list, such as `engines.tts: [0], [1] served`."""
    used = _used(saved)
    return tuple(f"engines.{kind}: {_listed(used[kind])} served" for kind in sorted(used))


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(f"[{index}]" for index in indices)


def _used(saved: Mapping[str, JsonValue]) -> dict[EngineKind, tuple[int, ...]]:
    return _ENGINES.validate_python(saved.get(ENGINES, {}), strict=False)


def tutor_state(saved: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the tutor's own state."""
    return {name: value for name, value in saved.items() if name not in OWN}


def last_turns(saved: Mapping[str, JsonValue]) -> tuple[Utterance, ...]:
    """Return the last turns, if there are any."""
    return _TURNS.validate_python(saved.get(TURNS, ()), strict=False)


def saved_ending(saved: Mapping[str, JsonValue]) -> Composed | None:
    """Return the record to use if the learner does not return, if there is one."""
    return _ENDING.validate_python(saved[ENDING], strict=False) if ENDING in saved else None

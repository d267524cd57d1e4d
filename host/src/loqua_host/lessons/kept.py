"""What a lesson keeps for the tutor that may have to go on with it, as the ledger's one state."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, TypeAdapter

from loqua_host.contract.handoff import Utterance

__all__ = ["keep", "kept_state", "kept_turns"]

TURNS = "loqua.turns"
"""Where the last turns are kept beside the tutor's own notes."""

_TURNS = TypeAdapter(tuple[Utterance, ...])


def keep(state: Mapping[str, JsonValue], turns: Sequence[Utterance]) -> dict[str, JsonValue]:
    """Join the tutor's notes and the last turns of the conversation."""
    return {**state, TURNS: _TURNS.dump_python(tuple(turns), mode="json")}


def kept_state(kept: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Get the tutor's notes."""
    return {name: value for name, value in kept.items() if name != TURNS}


def kept_turns(kept: Mapping[str, JsonValue]) -> tuple[Utterance, ...]:
    """Get the last turns; a lesson that an earlier version kept has none."""
    return _TURNS.validate_python(kept.get(TURNS, ()), strict=False)

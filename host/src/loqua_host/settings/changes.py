"""The changes of the configuration that a running host can apply."""

from collections.abc import Iterator

from pydantic import BaseModel

from .host import HostSettings

__all__ = ["apply_changes", "changed_keys"]

LIVE = frozenset({"agent_id", "engines", "lessons", "messages", "records", "tutors"})
"""The sections of `HostSettings` that can change without a restart."""


def apply_changes(
    running: HostSettings, written: HostSettings
) -> tuple[HostSettings, tuple[str, ...]]:
    """Return the settings that a host can apply now, and the keys that need a restart."""
    fixed = {name: getattr(running, name) for name in type(running).model_fields.keys() - LIVE}
    settings = written.model_copy(update=fixed)
    return settings, changed_keys(settings, written)


def changed_keys(old: HostSettings, new: HostSettings) -> tuple[str, ...]:
    """Return the keys of the host's settings that differ, such as `lessons.reconnect_timeout`."""
    return tuple(sorted(name for name in _differing(old, new, "") if name != "tutors"))


def _differing(old: BaseModel, new: BaseModel, under: str) -> Iterator[str]:
    for name, field in type(old).model_fields.items():
        key = under + (field.alias or name)
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from _differing(before, after, f"{key}.")
        elif before != after:
            yield key

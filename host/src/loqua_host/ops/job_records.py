"""Log records from job processes, read without trusting them.

LiveKit sends them pickled and unpickles them in the host (livekit-agents 1.8.9,
ipc/log_queue.py). Believed as they are, they would let a tutor run code where the secrets are.
"""

import io
import logging
import pickle
from types import SimpleNamespace
from typing import Any, Never, Self

from livekit.agents.ipc import log_queue

__all__ = ["distrust_job_records", "read_record"]

UNREADABLE = {
    "name": __name__,
    "levelno": logging.WARNING,
    "levelname": "WARNING",
    "msg": "job.log_unreadable",
}


def distrust_job_records() -> None:
    """Have this process read what jobs log with `read_record`."""
    log_queue.pickle = SimpleNamespace(loads=read_record)  # type: ignore[attr-defined, assignment]  # the only way in


def read_record(data: bytes) -> logging.LogRecord:
    """Get the record that a job logged; what cannot be read becomes a record that says so."""
    try:
        record = _RecordReader(io.BytesIO(data)).load()
    except Exception:  # noqa: BLE001 - a damaged pickle raises whatever it likes
        record = None
    if isinstance(record, logging.LogRecord) and _is_sound(vars(record)):
        return record
    return logging.makeLogRecord(UNREADABLE)


def _is_sound(fields: dict[str, Any]) -> bool:
    forms = {"name": str, "levelno": int, "levelname": str, "msg": str}
    return all(type(fields.get(name)) is form for name, form in forms.items())


class _RecordReader(pickle.Unpickler):
    """Knows no class but LogRecord; an object of any other becomes its description."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) == ("logging", "LogRecord"):
            return logging.LogRecord
        return type("Foreign", (_Foreign,), {"called": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Never:
        raise pickle.UnpicklingError(f"a record has no persistent id {pid!r}")


class _Foreign:
    """What a job had an object of its own for."""

    called = ""

    def __new__(cls, *_args: object, **_named: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_args: object, **_named: object) -> None:
        """Take whatever the object was made from."""

    def __setstate__(self, _state: object) -> None:
        """Take whatever the object held."""

    def __repr__(self) -> str:
        return f"<{self.called}>"

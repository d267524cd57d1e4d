"""The spool: encrypted updates on the local disk while the ledger is unreachable."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from loqua_host.errors import DecryptionError, LedgerError

from .encryption import KeyRing
from .sqlite import lock_path
from .updates import LessonProgress, LessonUpdate

__all__ = ["Spool"]

log = structlog.get_logger()

UPDATE: TypeAdapter[LessonUpdate] = TypeAdapter(LessonUpdate)


class Spool:
    """Store at most two updates per lesson: its last progress, and its end.

    Each update is a file named after its lesson; lessons need no order. A file is written under
    another name, flushed and renamed, so that it survives a crash and a power failure once `add`
    has returned. The lock on the directory excludes other hosts, the lock in the process other
    threads.
    """

    def __init__(self, directory: Path, keys: KeyRing) -> None:
        self._directory = directory
        self._keys = keys
        self._files = threading.Lock()
        self._updates: dict[str, LessonUpdate] = {}

    @classmethod
    @contextmanager
    def open(cls, directory: Path, keys: KeyRing) -> Iterator["Spool"]:
        """Open the spool in a directory, with the updates of earlier processes.

        Raises:
            LedgerError: If the directory cannot be used, or another host uses it.
        """
        spool = cls(directory, keys)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = lock_path(directory, f"ledger.spool {directory}: another host has it open")
        except OSError as error:
            hint = "let the host's user write there, or set ledger.spool elsewhere"
            raise LedgerError(f"ledger.spool {directory}: {error}; {hint}") from error
        try:
            spool._load()
            yield spool
        finally:
            os.close(lock)

    @property
    def waiting(self) -> int:
        """The number of updates."""
        return len(self._updates)

    def updates(self) -> list[LessonUpdate]:
        """Return the updates, the end of each lesson last."""
        return sorted(self._updates.values(), key=lambda update: update.what == "end")

    def add(self, update: LessonUpdate) -> None:
        """Store an update, replacing an older one of its kind. It is on disk when this returns.

        If the older one had to be sent to the API, the new one has to be sent too.

        Raises:
            OSError: If the disk fails.
        """
        name = _name(update)
        with self._files:
            before = self._updates.get(name)
            if isinstance(update, LessonProgress) and isinstance(before, LessonProgress):
                update = update.model_copy(update={"send": update.send or before.send})
            self._write(name, update)
            self._updates[name] = update

    def reencrypt(self) -> int:
        """Re-encrypt the updates with the current key; return how many.

        Raises:
            OSError: If the disk fails; updates that were not written are unchanged.
        """
        with self._files:
            for name, update in self._updates.items():
                self._write(name, update)
            return len(self._updates)

    def remove(self, update: LessonUpdate) -> None:
        """Delete an update that is in the ledger, unless a later one has replaced it.

        Raises:
            OSError: If the disk fails.
        """
        name = _name(update)
        with self._files:
            if self._updates.get(name) is update:
                (self._directory / name).unlink(missing_ok=True)
                del self._updates[name]

    def _write(self, name: str, update: LessonUpdate) -> None:
        cipher = self._keys.current
        text = f"{cipher.key_id}\n{cipher.encrypt(update.model_dump_json(), name)}"
        new = self._directory / f"new-{name}"
        descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.rename(self._directory / name)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _load(self) -> None:
        for file in self._directory.iterdir():
            if file.suffix not in {".progress", ".end"} or file.name.startswith("new-"):
                continue
            key_id, _, encrypted = file.read_text().partition("\n")
            try:
                text = self._keys.cipher(key_id).decrypt(encrypted, file.name)
                self._updates[file.name] = UPDATE.validate_json(text)
            except (DecryptionError, ValidationError) as error:
                log.error("spool.unreadable", file=str(file), why=type(error).__name__)


def _name(update: LessonUpdate) -> str:
    return f"{update.lesson}.{update.what}"

"""What waits for the ledger while that is out of reach: in memory, and sealed on local disk."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from loqua_host.errors import LedgerError, SealError

from .notes import Note, Tick
from .seal import Keyring
from .sqlite import hold

__all__ = ["Spool"]

log = structlog.get_logger()

NOTE: TypeAdapter[Note] = TypeAdapter(Note)


class Spool:
    """Keeps at most two notes a lesson: its last progress, and its end.

    A note is a file of its own, named by its lesson, so that an order between lessons is neither
    kept nor needed. What `add` returned for is on disk, and outlives the process.
    """

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self._directory = directory
        self._keyring = keyring
        self._files = threading.Lock()
        self._notes: dict[str, Note] = {}

    @classmethod
    @contextmanager
    def open(cls, directory: Path, keyring: Keyring) -> Iterator["Spool"]:
        """Open the spool at a directory, with what an earlier process left there.

        Raises:
            LedgerError: If the directory cannot be used, or is another host's.
        """
        spool = cls(directory, keyring)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = hold(directory, f"ledger.spool {directory}: another host has it open")
        except OSError as error:
            mend = "let the host's user write there, or set ledger.spool elsewhere"
            raise LedgerError(f"ledger.spool {directory}: {error}; {mend}") from error
        try:
            spool._load()
            yield spool
        finally:
            os.close(lock)

    @property
    def waiting(self) -> int:
        """How many notes wait."""
        return len(self._notes)

    def notes(self) -> list[Note]:
        """List the notes, the end of each lesson last."""
        return sorted(self._notes.values(), key=lambda note: note.what == "end")

    def add(self, note: Note) -> None:
        """Keep a note, in place of an older one of the same kind; on disk when this returns.

        What the older one owed the API, the new one owes.

        Raises:
            OSError: If the disk does not take it.
        """
        name = f"{note.lesson}.{note.what}"
        with self._files:
            before = self._notes.get(name)
            if isinstance(note, Tick) and isinstance(before, Tick) and before.owed:
                note = note.model_copy(update={"owed": True})
            self._write(name, note)
            self._notes[name] = note

    def reseal(self) -> int:
        """Seal with the current key what waits; gives how many notes.

        Raises:
            OSError: If the disk does not take it; what it did not take is as it was.
        """
        with self._files:
            for name, note in self._notes.items():
                self._write(name, note)
            return len(self._notes)

    def remove(self, note: Note) -> None:
        """Forget a note that the ledger has, unless a later one took its place meanwhile.

        Raises:
            OSError: If the disk does not let it go.
        """
        name = f"{note.lesson}.{note.what}"
        with self._files:
            if self._notes.get(name) is note:
                (self._directory / name).unlink(missing_ok=True)
                del self._notes[name]

    def _write(self, name: str, note: Note) -> None:
        sealing = self._keyring.current
        text = f"{sealing.key_id}\n{sealing.seal(note.model_dump_json(), name)}"
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
            if file.suffix not in {".tick", ".end"} or file.name.startswith("new-"):
                continue
            key_id, _, sealed = file.read_text().partition("\n")
            try:
                text = self._keyring.of(key_id).open(sealed, file.name)
                self._notes[file.name] = NOTE.validate_json(text)
            except (SealError, ValidationError) as error:
                log.error("spool.unreadable", file=str(file), why=type(error).__name__)

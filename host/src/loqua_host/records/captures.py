"""Captures: the messages between host and jobs of lessons whose learners allow it.

A capture is a private file with a line for each job of the lesson, encrypted like the ledger.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from loqua_host.errors import LedgerError
from loqua_host.link.messages import FromJob, ToJob

from .encryption import KeyRing

__all__ = ["CapturedJob", "CapturedMessage", "Captures"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class CapturedMessage(BaseModel):
    """A redacted message of the link, and when it was sent, in seconds since the welcome."""

    model_config = _FROZEN

    at: float
    message: FromJob | ToJob


class CapturedJob(BaseModel):
    """One job's part of a lesson.

    Attributes:
        tutor: The tutor's name in config/tutors.
        messages: The messages in both directions, the welcome first.
    """

    model_config = _FROZEN

    tutor: str
    messages: tuple[CapturedMessage, ...]


class Captures:
    """The captures in a directory, by the lessons' session ids.

    Args:
        directory: The directory, which need not exist.
        keys: The keys of the ledger.
    """

    def __init__(self, directory: Path, keys: KeyRing) -> None:
        self._directory = directory
        self._keys = keys

    def append(self, session_id: str, part: CapturedJob) -> None:
        """Add a job's part to the capture of its lesson.

        Raises:
            OSError: If the disk fails.
        """
        file, cipher = self._file(session_id), self._keys.current
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as lines:
            encrypted = cipher.encrypt(part.model_dump_json(), file.name)
            lines.write(f"{cipher.key_id} {encrypted}\n")

    def read(self, session_id: str) -> list[CapturedJob]:
        """Return the parts of a lesson, in order; none if it was not captured.

        Raises:
            LedgerError: If the capture cannot be read or decrypted.
        """
        file = self._file(session_id)
        try:
            return [self._parse(line, file.name) for line in file.read_text("utf-8").splitlines()]
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise LedgerError(
                f"{file} is no capture of this host: {type(error).__name__}"
            ) from None

    def delete(self, session_id: str) -> None:
        """Delete the capture of a lesson, if there is one.

        Raises:
            OSError: If the disk fails.
        """
        self._file(session_id).unlink(missing_ok=True)

    def purge(self, before: float) -> int:
        """Delete captures that were last written before a time, in Unix seconds; return how many.

        Raises:
            OSError: If the disk fails.
        """
        old = [one for one in self._files() if one.stat().st_mtime < before]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)

    def _files(self) -> Iterator[Path]:
        return self._directory.glob("*.capture")

    def _file(self, session_id: str) -> Path:
        """Return the file of a lesson. A session id is the API's, and may be no file's name."""
        return self._directory / f"{hashlib.sha256(session_id.encode()).hexdigest()}.capture"

    def _parse(self, line: str, name: str) -> CapturedJob:
        key_id, _, encrypted = line.partition(" ")
        return CapturedJob.model_validate_json(self._keys.cipher(key_id).decrypt(encrypted, name))

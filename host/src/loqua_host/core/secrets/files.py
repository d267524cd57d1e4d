"""Secrets from a directory with a file for each, as Kubernetes and Docker mount them."""

from pathlib import Path

from loqua_host.errors import SecretsError

from .port import Sealed, Secret

__all__ = ["FileSecrets"]

MAX_BYTES = 64 * 1024


class FileSecrets:
    """Read files such as `SHARED_SECRET` and `SHARED_SECRET_PREVIOUS`."""

    def __init__(self, directory: Path) -> None:
        self.place = str(directory)
        self._directory = directory

    def fetch(self, variable: str) -> Secret | None:
        """Return what the variable's file holds, and its `_PREVIOUS`.

        Raises:
            SecretsError: The directory or the file cannot be read.
        """
        current = self._value(variable)
        return Secret(current, self._value(f"{variable}_PREVIOUS")) if current else None

    def _value(self, variable: str) -> Sealed | None:
        file = self._directory / variable
        try:
            if not file.exists() and self._directory.is_dir():
                return None
            with file.open("rb") as opened:
                text = opened.read(MAX_BYTES).decode()
        except OSError as error:
            raise SecretsError(f"{file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SecretsError(f"{file} is no UTF-8 text") from None
        return Sealed(text) if text else None

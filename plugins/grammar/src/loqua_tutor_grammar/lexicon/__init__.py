"""The lexicon: the readings of a word form, and the forms of a lemma.

Tables `*.tsv.xz` are derived from LanguageTool's dictionaries (see NOTICE); words of closed
classes, which those lack, are written here in `*.toml`. Spanish tags are EAGLES', English ones Penn
Treebank's.
"""

import lzma
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from sys import intern
from typing import NamedTuple

__all__ = ["Lexicon", "Reading", "load_lexicon"]


class Reading(NamedTuple):
    """One interpretation of a form: its lemma and tag."""

    lemma: str
    tag: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Readings by form, and (form, tag) by lemma."""

    readings: Mapping[str, tuple[Reading, ...]]
    forms: Mapping[str, list[tuple[str, str]]] = field(repr=False)

    @classmethod
    def of(cls, readings: Mapping[str, Iterable[Reading]]) -> "Lexicon":
        """Return the lexicon of these readings."""
        forms = defaultdict(list)
        for form, each in readings.items():
            for lemma, tag in each:
                forms[lemma].append((form, tag))
        return cls({form: tuple(each) for form, each in readings.items()}, dict(forms))


@cache
def load_lexicon(language: str) -> Lexicon:
    """Load the lexicon of a language; takes about 0.4 s and 30 MB, once a process.

    Args:
        language: ISO 639-1, one that has files here.
    """
    folder = files(__package__)
    readings: dict[str, list[Reading]] = defaultdict(list)
    table = lzma.decompress(folder.joinpath(f"{language}.tsv.xz").read_bytes()).decode()
    for row in table.split("\n"):
        form, lemma, tag = row.split("\t")
        readings[form].append(Reading(intern(lemma or form), intern(tag)))
    closed = tomllib.loads(folder.joinpath(f"{language}.toml").read_text("utf-8"))
    for form, each in closed["words"].items():
        readings[form] = [Reading(*reading.split("/")) for reading in each.split()]
    return Lexicon.of(readings)

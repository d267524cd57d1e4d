# /// script
# requires-python = ">=3.11"
# dependencies = ["wordfreq>=3.1"]
# ///
"""Derive the tables `src/loqua_tutor_grammar/lexicon/*.tsv.xz` from LanguageTool's dictionaries.

Run `uv run --script plugins/grammar/lexicon/derive.py`; it needs Maven and Java. Sources, from
Maven Central, each under LGPL-2.1: org.softcatala:spanish-pos-dict (EAGLES tags) and
org.languagetool:english-pos-dict (Penn tags), automata that morfologik-tools decompiles. Kept are
the readings of the most frequent forms by wordfreq, without imperatives and verbs with pronouns
attached. A form that is mostly another word (*casa*, of *casar*) has no reading as a verb.
"""

import lzma
import re
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wordfreq import top_n_list, zipf_frequency

TARGET = Path(__file__).parents[1] / "src" / "loqua_tutor_grammar" / "lexicon"
DECOMPILER = "org.carrot2:morfologik-tools:2.1.9"
POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>derive</artifactId><version>1</version>
<dependencies>{}</dependencies></project>"""
RARER = 1.3
"""Powers of ten by which the base form of a verb may be rarer than a form that is also a noun."""
DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


@dataclass(frozen=True)
class Source:
    """A dictionary, and the readings of it that are used.

    Attributes:
        language: ISO 639-1.
        artifact: Maven's coordinates.
        path: The automaton in the jar.
        separator: Between lemma, form and tag.
        tag: What a tag is; the group is kept (a letter for the frequency may follow).
        forms: How many forms are kept.
    """

    language: str
    artifact: str
    path: str
    separator: str
    tag: re.Pattern[str]
    forms: int


SOURCES = (
    Source(
        "es",
        "org.softcatala:spanish-pos-dict:2.5",
        "org/languagetool/resource/es/es-ES.dict",
        "_",
        re.compile(r"(N[^P]\w+?|[AR]\w+?|V.(?!M|SF|..[123]V)\w+?)[A-Z]"),
        80_000,
    ),
    Source(
        "en",
        "org.languagetool:english-pos-dict:0.6",
        "org/languagetool/resource/en/english.dict",
        "+",
        re.compile(r"(JJ[RS]?|NNS?(?::UN?)?|VB[DGNPZ]?|RB[RS]?)"),
        40_000,
    ),
)


def decompile(source: Source, folder: Path) -> list[str]:
    """Return the lines of a dictionary from Maven Central."""
    artifacts = (DECOMPILER, source.artifact)
    dependencies = "".join(DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts)
    (folder / "pom.xml").write_text(POM.format(dependencies))
    subprocess.run(
        ["mvn", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib"],  # noqa: S607
        cwd=folder,
        check=True,
    )
    _, name, version = source.artifact.split(":")
    with zipfile.ZipFile(folder / "lib" / f"{name}-{version}.jar") as jar:
        info = source.path.removesuffix(".dict") + ".info"
        jar.extractall(folder, members=[source.path, info])
    subprocess.run(  # noqa: S603
        ["java", "-cp", "lib/*", "morfologik.tools.Launcher", "dict_decompile",  # noqa: S607
         "-i", source.path, "-o", "plain.txt"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return (folder / "plain.txt").read_text("utf-8").splitlines()


def select(source: Source, lines: Iterable[str]) -> list[str]:
    """Return `form<TAB>lemma<TAB>tag` of the frequent forms, sorted."""
    frequent = set(top_n_list(source.language, source.forms))
    readings = defaultdict(set)
    for line in lines:
        lemma, form, tag = line.rsplit(source.separator, 2)
        found = source.tag.fullmatch(tag)
        if found and form in frequent:
            readings[form].add((lemma, found[1]))
    return [
        f"{form}\t{'' if lemma == form else lemma}\t{tag}"
        for form in sorted(readings)
        for lemma, tag in sorted(without_rare_verbs(readings[form], form, source.language))
    ]


def without_rare_verbs(
    readings: set[tuple[str, str]], form: str, language: str
) -> set[tuple[str, str]]:
    """Return the readings less those of verbs that are far rarer than the form itself."""
    limit = zipf_frequency(form, language) - RARER
    common = {
        (lemma, tag)
        for lemma, tag in readings
        if not tag.startswith("V") or zipf_frequency(lemma, language) >= limit
    }
    return common or readings


def main() -> None:
    """Derive each table."""
    for source in SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            rows = select(source, decompile(source, Path(folder)))
        data = lzma.compress("\n".join(rows).encode(), preset=9 | lzma.PRESET_EXTREME)
        (TARGET / f"{source.language}.tsv.xz").write_bytes(data)


if __name__ == "__main__":
    main()

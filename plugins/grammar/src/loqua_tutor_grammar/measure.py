"""Measure the check on learners' sentences: `python -m loqua_tutor_grammar.measure PATH …`.

With `--languagetool http://localhost:8081` a server is asked besides the embedded engines.

A PATH is a JSONL file (fields `label` wrong or right, `spoken`, `references`, `category`, `id`) or
a folder with a source and its references a line each (`*.src`, `*.ref0` …, as JFLEG has them). The
figures are those of a tutor that hears: sentences without punctuation, in lower case at the start,
differences of spelling aside. *Core overlap* is the share of wrong sentences in which a finding
touches a corrected span, of those whose edits are not merely lexical or stylistic; *fix* that in
which the best replacements bring the sentence closer to a reference; *false positives* the share
of right sentences in which anything is found.
"""

import argparse
import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from .check import Checker, embedded_checker
from .correction import GrammarCorrection, correct_text
from .languagetool import LanguageToolEngine
from .lexicon import load_lexicon

__all__ = ["Figures", "Sentence", "measure", "read_sentences"]

_NOT_CORE = frozenset({"lexical", "subject_pronoun", "verb_choice", "word_order", "spelling"})
_FUNCTION_TAG = re.compile(r"DT|IN|TO|MD|PRP|WDT|CC|D|P|SP")
_SPELLING = 0.75
"""Two words that are this alike, with other lemmas, differ in their spelling only."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A learner's sentence, and a teacher's correction.

    Attributes:
        text: As a recogniser would give it.
        references: Corrected versions, in the same form.
        core: Whether grammar was corrected, not only words or style.
        wrong: Whether anything was corrected.
        student: Who said it, or nothing where that is not known.
    """

    text: str
    references: tuple[str, ...]
    core: bool
    wrong: bool
    student: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares between 0 and 1, of `core` and `right` sentences."""

    core: int
    right: int
    overlap: float
    fix: float
    false_positives: float

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"core overlap {self.overlap:.1%}, core fix {self.fix:.1%} of {self.core}; "
            f"false positives {self.false_positives:.1%} of {self.right}"
        )


def read_sentences(path: Path) -> tuple[str, list[Sentence]]:
    """Return the language and the sentences of a corpus: a JSONL file is Spanish, JFLEG English."""
    if path.is_dir():
        return "en", list(_read_parallel(path))
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return "es", [
        Sentence(
            text=row["spoken"],
            references=tuple(_spoken(each) for each in row["references"]),
            core=bool(set(row["category"]) - _NOT_CORE),
            wrong=row["label"] == "wrong",
            student=row["id"].split(".")[0],
        )
        for row in rows
    ]


def _read_parallel(folder: Path) -> Iterator[Sentence]:
    """Yield wrong sentences, and as right ones first references; in JFLEG few sources are right."""
    source = next(iter(sorted(folder.glob("*spellchecked.src")) or sorted(folder.glob("*.src"))))
    columns = [_lines(source), *(_lines(each) for each in sorted(folder.glob("*.ref*")))]
    for text, *references in zip(*columns, strict=True):
        if all(_words(text) != _words(each) for each in references):
            core = all(_is_core(text, each) for each in references)
            yield Sentence(text, tuple(references), core=core, wrong=True)
        else:
            yield Sentence(text, tuple(references), core=False, wrong=False)


def _lines(path: Path) -> list[str]:
    return [_spoken(line) for line in path.read_text("utf-8").splitlines()]


def _spoken(text: str) -> str:
    """Return a sentence without punctuation, lower case at its start."""
    text = re.sub(r" (n't|'\w+)", r"\1", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    plain = " ".join(re.findall(r"\w+(?:['-]\w+)*", text))
    return plain if plain.startswith(("I ", "I'")) else plain[:1].lower() + plain[1:]


def _words(text: str) -> list[str]:
    return text.lower().split()


def _is_core(text: str, reference: str) -> bool:
    """Return whether an edit changes a function word or the form of a word."""
    source, target = _words(text), _words(reference)
    for tag, i, j, k, m in SequenceMatcher(None, source, target, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        old, new = source[i:j], target[k:m]
        if not old or not new:
            if any(map(_is_function_word, (*old, *new))):
                return True
        elif any(_lemmas(a) & _lemmas(b) for a in old for b in new) or any(
            map(_is_function_word, new)
        ):
            return True
    return False


def _lemmas(word: str) -> set[str]:
    return {reading.lemma for reading in load_lexicon("en").readings.get(word, ())}


def _is_function_word(word: str) -> bool:
    readings = load_lexicon("en").readings.get(word, ())
    return any(_FUNCTION_TAG.match(reading.tag) for reading in readings)


def _edited_spans(sentence: Sentence) -> set[tuple[int, int]]:
    """Return the spans that any reference changes; where words are missing, the words around."""
    words = list(re.finditer(r"\S+", sentence.text))
    source = [word[0].lower() for word in words]
    spans = set()
    for reference in sentence.references:
        matcher = SequenceMatcher(None, source, _words(reference), autojunk=False)
        for tag, i, j, _, _ in matcher.get_opcodes():
            if tag != "equal":
                first, last = (i, j - 1) if j > i else (max(i - 1, 0), min(i, len(words) - 1))
                spans.add((words[first].start(), words[last].end()))
    return spans


def _touches(found: Sequence[GrammarCorrection], sentence: Sentence) -> bool:
    spans = _edited_spans(sentence)
    return any(each.start < end and start < each.end for each in found for start, end in spans)


def _fixes(found: Sequence[GrammarCorrection], sentence: Sentence) -> bool:
    fixed = _words(correct_text(sentence.text, found))
    before = _words(sentence.text)
    return any(
        _distance(fixed, _words(reference)) < _distance(before, _words(reference))
        for reference in sentence.references
    )


def _distance(one: list[str], other: list[str]) -> int:
    opcodes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return sum(max(j - i, m - k) for tag, i, j, k, m in opcodes if tag != "equal")


async def measure(checker: Checker, language: str, sentences: Iterable[Sentence]) -> Figures:
    """Return the figures of a checker; hints are not counted."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        if sentence.wrong and not sentence.core:
            continue
        every = await checker.check(sentence.text, language)
        found = [each for each in every if each.severity == "error"]
        if not sentence.wrong:
            counts.update(right=1, flagged=bool(found))
        else:
            overlap = bool(found) and _touches(found, sentence)
            counts.update(core=1, overlap=overlap, fix=overlap and _fixes(found, sentence))
    core, right = max(counts["core"], 1), max(counts["right"], 1)
    return Figures(
        core=counts["core"],
        right=counts["right"],
        overlap=counts["overlap"] / core,
        fix=counts["fix"] / core,
        false_positives=counts["flagged"] / right,
    )


def is_held_out(sentence: Sentence) -> bool:
    """Return whether a student's sentences are only counted, never read: every second student's."""
    return bool(hashlib.sha256(sentence.student.encode()).digest()[0] % 2)


def _checker(languagetool: str | None) -> Checker:
    return embedded_checker(*([LanguageToolEngine(languagetool)] if languagetool else []))


def main() -> None:
    """Print the figures of each corpus, held-out students apart where students are known."""
    parser = argparse.ArgumentParser(description="measure the grammar check")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--languagetool", help="address of a LanguageTool server to ask as well")
    arguments = parser.parse_args()
    for path in arguments.paths:
        language, sentences = read_sentences(path)
        groups = {"all": sentences}
        if any(sentence.student for sentence in sentences):
            groups["development"] = [each for each in sentences if not is_held_out(each)]
            groups["held out"] = [each for each in sentences if is_held_out(each)]
        for name, group in groups.items():
            figures = asyncio.run(measure(_checker(arguments.languagetool), language, group))
            print(f"{path.name}, {name}: {figures}")  # noqa: T201  the command's output


if __name__ == "__main__":
    main()

"""Corrections, and the rules that find them: precise ones, far from complete."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Correction", "Rule", "any_of", "apply_rules"]


@dataclass(frozen=True, slots=True)
class Correction:
    """What is wrong in a text, and what to say instead.

    Attributes:
        start: Where the wrong part begins, as an index into the text.
        end: Where it ends, exclusive.
        message: Why, as a key of `messages.toml`.
        category: The part of grammar (`agreement`, `articles`, `verbs`, …).
        grammar_point: The topic in the API's style (`subject_verb_agreement`).
        replacements: What to say instead, best first; never empty.
        severity: `error`, or `hint` for what is unusual rather than wrong.
        rule_id: The rule that found it.
    """

    start: int
    end: int
    message: str
    category: str
    grammar_point: str
    replacements: tuple[str, ...]
    severity: Literal["error", "hint"]
    rule_id: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds one kind of mistake.

    The group `wrong` of the pattern is what the replacement takes the place of. `replace`
    answers None, or the words as they are, where a match is no mistake.
    """

    rule_id: str
    category: str
    grammar_point: str
    message: str
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str | None]
    severity: Literal["error", "hint"] = "error"

    def find(self, text: str) -> Iterable[Correction]:
        """Find this mistake in a text, whatever its case."""
        for match in self.pattern.finditer(_lower(text)):
            start, end = match.span("wrong")
            right = self.replace(match)
            if right is None or right == match["wrong"]:
                continue
            yield Correction(
                start=start,
                end=end,
                message=self.message,
                category=self.category,
                grammar_point=self.grammar_point,
                replacements=(right[0].upper() + right[1:] if text[start].isupper() else right,),
                severity=self.severity,
                rule_id=self.rule_id,
            )


def apply_rules(rules: Iterable[Rule], text: str) -> list[Correction]:
    """All corrections in the order of the text; where two overlap, the earlier rule's."""
    kept: list[Correction] = []
    for rule in rules:
        for found in rule.find(text):
            if all(found.end <= other.start or other.end <= found.start for other in kept):
                kept.append(found)
    return sorted(kept, key=lambda correction: correction.start)


def _lower(text: str) -> str:
    """Lower case and straight apostrophes, letter by letter: every index stays where it is."""
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in straight)


def any_of(words: Iterable[str]) -> str:
    """A pattern for any of these words, the longest first."""
    return "(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"

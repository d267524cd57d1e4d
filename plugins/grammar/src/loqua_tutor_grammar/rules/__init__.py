"""Rules as data in `rules/*.toml`: patterns of mistakes, and their corrections."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from loqua_tutor_grammar.agreement import agree, features, inflect
from loqua_tutor_grammar.correction import GrammarCorrection, Severity
from loqua_tutor_grammar.lexicon import Lexicon, Reading, load_lexicon
from loqua_tutor_grammar.pattern import (
    Element,
    Match,
    find_matches,
    parse_element,
    tokenise,
)

__all__ = ["Rule", "RuleEngine", "Rules", "load_rules", "points_of", "rule_languages"]

_FIELD = re.compile(r"\{(?P<name>\w+)(?:\|(?P<how>agree|tag|map|with|word) (?P<what>[^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for one kind of mistake.

    Attributes:
        rule_id: Unique in a language.
        category: The part of grammar.
        grammar_point: The topic, in the API's style.
        message: A key of `messages.toml`.
        patterns: Any of these finds it.
        wrong: Names of the first and the last wrong token.
        replace: Templates of what to say instead, best first. `{noun}` is a token's form;
            `{det|agree noun}` the form of the same word that agrees with another token,
            `{verb|with person=3 number=S}` that with these features, `{verb|tag VMN}` that with
            this tag (`{verb|tag VMIP pron}`: and agreeing with that token), `{noun|word el}` the
            form of another word that agrees with it, `{verb|map name}` what the table has for it.
        disagree: Pairs of tokens that must not agree.
        examples: A wrong sentence and the right one.
        severity: Whether it is wrong or only unusual.
    """

    rule_id: str
    category: str
    grammar_point: str
    message: str
    patterns: tuple[tuple[Element, ...], ...]
    wrong: tuple[str, str]
    replace: tuple[str, ...]
    disagree: tuple[tuple[str, str], ...]
    examples: tuple[tuple[str, str], ...]
    severity: Severity


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a language in order of precedence, with their tables."""

    rules: tuple[Rule, ...]
    maps: Mapping[str, Mapping[str, str]]
    contractions: Mapping[str, str]
    lexicon: Lexicon

    def find(self, text: str) -> Iterator[GrammarCorrection]:
        """Yield what the rules find; findings may overlap."""
        tokens = tokenise(text, self.lexicon)
        for rule in self.rules:
            for pattern in rule.patterns:
                for match in find_matches(pattern, tokens):
                    correction = self._correct(rule, match, text)
                    if correction is not None:
                        yield correction

    def _correct(self, rule: Rule, match: Match, text: str) -> GrammarCorrection | None:
        if any(agree(match.readings[a], match.readings[b]) for a, b in rule.disagree):
            return None
        first, last = (match.tokens[name] for name in rule.wrong)
        said = text[first.start : last.end]
        said_plain = said.lower()
        better = [self._fill(template, match) for template in rule.replace]
        right = [it for it in better if it is not None and it.lower() != said_plain]
        if not right:
            return None
        return GrammarCorrection(
            start=first.start,
            end=last.end,
            message=rule.message,
            category=rule.category,
            grammar_point=rule.grammar_point,
            replacements=tuple(_with_case_of(said, it) for it in right),
            severity=rule.severity,
            source="rules",
            rule_id=rule.rule_id,
            confidence=0.9,
        )

    def _fill(self, template: str, match: Match) -> str | None:
        """Return a replacement, None where a form of it is not known."""
        parts = {field[0]: self._form(field, match) for field in _FIELD.finditer(template)}
        if any(form is None for form in parts.values()):
            return None
        filled = _FIELD.sub(lambda field: parts[field[0]] or "", template)
        for apart, contracted in self.contractions.items():
            filled = re.sub(rf"\b{apart}\b", contracted, filled)
        return filled

    def _form(self, field: re.Match[str], match: Match) -> str | None:
        """Return what a field of a template stands for, None where it is not known."""
        token = match.tokens.get(field["name"])
        if token is None:
            return None
        readings = match.readings[field["name"]] or token.readings
        how, what = field["how"], field["what"] or ""
        match how:
            case None:
                return token.text
            case "map":
                return self.maps[what].get(token.form)
            case "word":
                return self._word(what, readings)
            case "tag":
                return self._tagged(match, readings, what)
            case "agree":
                wanted = _features(match, what)
            case _:
                wanted = dict(each.split("=") for each in what.split())
        return _first(inflect(self.lexicon, reading, wanted) for reading in readings)

    def _word(self, lemma: str, readings: Sequence[Reading]) -> str | None:
        """Return the form of another word that agrees with these readings."""
        forms = self.lexicon.forms.get(lemma, ())
        fitting = (form for form, tag in forms if agree([Reading(lemma, tag)], readings))
        return min(fitting, key=lambda form: (len(form), form), default=None)

    def _tagged(self, match: Match, readings: Sequence[Reading], what: str) -> str | None:
        """Return the form of the same word with a tag, agreeing with a token if one is named."""
        tag, _, name = what.partition(" ")
        like = match.readings[name] if name else ()
        return next(
            (
                form
                for reading in readings
                for form, each in self.lexicon.forms.get(reading.lemma, ())
                if re.match(tag, each) and (not like or agree([Reading("", each)], like))
            ),
            None,
        )


def _features(match: Match, name: str) -> dict[str, str]:
    return features(match.readings[name][0].tag) if match.readings.get(name) else {}


def _first(forms: Iterator[str | None]) -> str | None:
    return next((form for form in forms if form is not None), None)


def _with_case_of(said: str, right: str) -> str:
    """Return a replacement with the first letter's case of what it takes the place of."""
    first = right[:1].upper() if said[:1].isupper() else right[:1]
    return first + right[1:]


class RuleEngine:
    """The embedded engine, with high precision and low recall."""

    async def find(self, text: str, language: str) -> Sequence[GrammarCorrection]:
        """Return what the rules of a language find; nothing where there are none."""
        return tuple(load_rules(language).find(text)) if language in rule_languages() else ()


@cache
def rule_languages() -> frozenset[str]:
    """Return the languages that have rules, as ISO 639-1."""
    names = (file.name for file in files(__package__).iterdir())
    return frozenset(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@cache
def load_rules(language: str) -> Rules:
    """Load the rules and the lexicon of a language, once a process.

    Raises:
        ValueError: If a pattern is none.
    """
    data = tomllib.loads(files(__package__).joinpath(f"{language}.toml").read_text("utf-8"))
    sets = {name: frozenset(words.split()) for name, words in data["sets"].items()}
    rules = tuple(_rule(each, sets) for each in data["rules"])
    return Rules(rules, data["maps"], data["contractions"], load_lexicon(language))


@cache
def points_of(language: str) -> Mapping[str, tuple[str, str]]:
    """Return the points of grammar with category and message, those of the first rule on each.

    Other engines' findings are explained with these; a language without rules has the one point
    `sentence_structure`.
    """
    points = {"sentence_structure": ("usage", "usage")}
    rules = load_rules(language).rules if language in rule_languages() else ()
    for rule in rules:
        points.setdefault(rule.grammar_point, (rule.category, rule.message))
    return points


def _rule(data: dict[str, Any], sets: Mapping[str, frozenset[str]]) -> Rule:
    patterns = [data["pattern"], *data.get("or", [])]
    wrong = data["wrong"].split()
    return Rule(
        rule_id=data["id"],
        category=data["category"],
        grammar_point=data["point"],
        message=data["message"],
        patterns=tuple(
            tuple(parse_element(each, sets) for each in pattern) for pattern in patterns
        ),
        wrong=(wrong[0], wrong[-1]),
        replace=tuple(data["replace"]),
        disagree=tuple((one, other) for one, other in data.get("disagree", [])),
        examples=tuple((wrong, right) for wrong, right in data["examples"]),
        severity=data.get("severity", "error"),
    )

"""Patterns of tokens: a small language for rules as data.

A pattern is a list of elements, each for one token. An element is a list of tests, all of which
hold: `casa|mesa` is a form, `@name` a form of that set, `=ser|estar` a lemma, `/NC|AQ` the
beginning of a tag as a regular expression, `=ser/VSIP` both in one reading, `~s$` a regular
expression in the form, `.` any word. Forms, sets and tags can be alternatives (`y|@clitic|/NC`).
`!` before a test negates it. `name:` before the tests names the token, `?` says that it may be
missing, `*` that there may be any number. A text begins with the token `^` and ends with `$`;
punctuation marks are tokens.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .lexicon import Lexicon, Reading

__all__ = ["Element", "Match", "Token", "find_matches", "parse_element", "tokenise"]

_TOKEN = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}-]\w+)*|[^\w\s]")
_SENTENCE_START = frozenset("^.!?\N{INVERTED EXCLAMATION MARK}\N{INVERTED QUESTION MARK}")
_ELEMENT = re.compile(r"(?P<many>[?*] )?(?:(?P<name>\w+): )?(?P<tests>.+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a punctuation mark, with its position and readings.

    Attributes:
        form: In lower case.
        text: As it would be written inside a sentence.
        start: An index into the text.
        end: The same, exclusive.
        readings: What it can be.
    """

    form: str
    text: str
    start: int
    end: int
    readings: tuple[Reading, ...] = ()


_Test = Callable[[Token], bool]
_ReadingTest = Callable[[Reading], bool]


@dataclass(frozen=True, slots=True)
class Element:
    """The condition that one token must meet.

    Attributes:
        name: What rules call the token, or nothing.
        least: 0 where it may be missing, else 1.
        most: How many tokens it takes at most.
        tests: Tests of the token.
        reading_tests: Tests that one reading must all pass.
    """

    name: str
    least: int
    most: int
    tests: tuple[_Test, ...]
    reading_tests: tuple[_ReadingTest, ...]

    def readings_of(self, token: Token) -> tuple[Reading, ...]:
        """Return the readings that pass."""
        return tuple(r for r in token.readings if all(test(r) for test in self.reading_tests))

    def matches(self, token: Token) -> bool:
        """Return whether a token passes."""
        if not all(test(token) for test in self.tests):
            return False
        return not self.reading_tests or bool(self.readings_of(token))


@dataclass(frozen=True, slots=True)
class Match:
    """Tokens by name, with the readings that the pattern allows."""

    tokens: Mapping[str, Token]
    readings: Mapping[str, tuple[Reading, ...]]


def tokenise(text: str, lexicon: Lexicon) -> list[Token]:
    """Return the tokens of a text, `^` and `$` included."""
    tokens = [Token("^", "", 0, 0)]
    for found in _TOKEN.finditer(text):
        form = found[0].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        text = form if tokens[-1].form in _SENTENCE_START else found[0]
        tokens.append(Token(form, text, *found.span(), lexicon.readings.get(form, ())))
    return [*tokens, Token("$", "", len(text), len(text))]


def parse_element(source: str, sets: Mapping[str, frozenset[str]]) -> Element:
    """Return the element that a string describes.

    Raises:
        ValueError: If it is no element, or names a set that there is not.
    """
    parts = _ELEMENT.fullmatch(source)
    if parts is None:
        raise ValueError(f"{source!r} is no element of a pattern: write '[?|*] [name:] tests'")
    tests: list[_Test] = []
    reading_tests: list[_ReadingTest] = []
    for test in parts["tests"].split():
        if test[0] in "=/" and test != "/":
            reading_tests.append(_reading_test(test))
        else:
            tests.append(_token_test(test, sets))
    many = (parts["many"] or "").strip()
    return Element(
        parts["name"] or "", 0 if many else 1, 99 if many == "*" else 1,
        tuple(tests), tuple(reading_tests),
    )  # fmt: skip


def _token_test(source: str, sets: Mapping[str, frozenset[str]]) -> _Test:
    if source.startswith("!") and len(source) > 1:
        inner = _token_test(source[1:], sets)
        return lambda token: not inner(token)
    if source.startswith(("=", "/")) and len(source) > 1:
        reading = _reading_test(source)
        return lambda token: any(map(reading, token.readings))
    if source.startswith("~"):
        search = re.compile(source[1:]).search
        return lambda token: search(token.form) is not None
    if source == ".":
        return lambda token: token.form[0].isalnum()
    return _alternatives(source.split("|"), sets)


def _alternatives(parts: Sequence[str], sets: Mapping[str, frozenset[str]]) -> _Test:
    """Return a test for any of these forms, sets and tags."""
    missing = [part for part in parts if part.startswith("@") and part[1:] not in sets]
    if missing:
        raise ValueError(f"there is no set {missing[0]!r}: add it to [sets]")
    forms = frozenset().union(*(sets.get(part[1:], {part}) for part in parts))
    tags = [_reading_test(part) for part in parts if len(part) > 1 and part.startswith("/")]
    return lambda token: (
        token.form in forms or any(tag(reading) for tag in tags for reading in token.readings)
    )


def _reading_test(source: str) -> _ReadingTest:
    lemma, _, tag = source.partition("/")
    lemmas = frozenset(lemma.removeprefix("=").split("|")) if lemma else None
    match = re.compile(f"(?:{tag})").match
    return lambda reading: (lemmas is None or reading.lemma in lemmas) and bool(match(reading.tag))


def find_matches(elements: Sequence[Element], tokens: Sequence[Token]) -> Iterator[Match]:
    """Yield the first match at each token, optional elements taken where they can be."""
    for start in range(len(tokens)):
        taken = _match(elements, tokens, start)
        if taken is not None:
            named = [(element, tokens[at]) for element, at in taken if element.name]
            yield Match(
                {element.name: token for element, token in named},
                {element.name: element.readings_of(token) for element, token in named},
            )


def _match(
    elements: Sequence[Element], tokens: Sequence[Token], at: int
) -> list[tuple[Element, int]] | None:
    if not elements:
        return []
    element, rest = elements[0], elements[1:]
    last = at
    while last < len(tokens) and last - at < element.most and element.matches(tokens[last]):
        last += 1
    for end in range(last, at + element.least - 1, -1):
        others = _match(rest, tokens, end)
        if others is not None:
            return [*((element, each) for each in range(at, end)), *others]
    return None

"""Parts of an answer that are neither negated nor asked."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .language import Language
from .plain import has_any, plain
from .scenario import Branch, ScenarioTurn
from .vocabulary import find_words

__all__ = ["affirmed", "branch_of"]

_SENTENCES = re.compile(r"[^.!?…]+[.!?…]*")
_PAUSES = re.compile(r"[,;:¿¡—]")


@dataclass(frozen=True, slots=True)
class _Clause:
    """A plain clause, and the part of it that comes before a negation."""

    text: str
    affirmed: str


def affirmed(language: Language, text: str) -> str:
    """Return the parts of a text that are neither negated nor asked, as a plain text."""
    return " ".join(it.affirmed for it in _clauses(language, text, may_ask=False))


def branch_of(turn: ScenarioTurn, language: Language, code: str, text: str) -> Branch | None:
    """Return the first branch of a turn that an answer takes.

    A negation takes only branches that hear one: "not sunny" is not "sunny", and "no tengo
    hermanos" is "no tengo", unless the rest affirms what was asked ("pero tengo una hermana"). A
    question takes a branch if the turn asks for questions.
    """
    may_ask = "?" in turn.model
    clauses = tuple(_clauses(language, text, may_ask=may_ask))
    words = {word for it in clauses for word in find_words(it.affirmed, code)}
    is_affirmed = bool(words & turn.words.keys())
    return next(
        (
            branch
            for branch in turn.branches
            if any(_is_heard(it, language, clauses, is_affirmed) for it in branch.hears)
        ),
        None,
    )


def _is_heard(
    phrase: str, language: Language, clauses: tuple[_Clause, ...], is_affirmed: bool
) -> bool:
    if not has_any(language.negations, plain(phrase)) and phrase not in language.no:
        return any(has_any((phrase,), it.affirmed) for it in clauses)
    if is_affirmed:
        return False
    if phrase in language.no:  # a no is an answer where it stands first, or alone
        return any(
            it.text == plain(phrase)
            or (not number and f"{it.text} ".startswith(f"{plain(phrase)} "))
            for number, it in enumerate(clauses)
        )
    return any(has_any((phrase,), it.text) for it in clauses)


def _clauses(language: Language, text: str, *, may_ask: bool) -> Iterator[_Clause]:
    for sentence in _SENTENCES.findall(text):
        if may_ask or "?" not in sentence:
            for part in _PAUSES.split(sentence):
                for clause in _split(plain(part), language.contrasts):
                    yield _Clause(clause, _before(language.negations, clause))


def _split(said: str, words: Iterable[str]) -> list[str]:
    """Return the parts of a plain text between these words."""
    between = "|".join(re.escape(plain(it)) for it in words)
    return [it.strip() for it in re.split(rf"\b(?:{between})\b", said) if it.strip()]


def _before(negations: Iterable[str], clause: str) -> str:
    """Return the part of a plain clause before its first negation."""
    found = "|".join(re.escape(plain(it)) for it in negations)
    return re.split(rf"\b(?:{found})\b", clause, maxsplit=1)[0].strip()

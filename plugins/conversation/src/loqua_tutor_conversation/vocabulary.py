"""Words of scenarios in what learners say, by lemma."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from simplemma.strategies import DictionaryLookupStrategy
from simplemma.strategies.dictionaries.stream_dictionary_factory import StreamDictionaryFactory

from .plain import has_any, plain, tokens
from .scenario import load_scenarios

__all__ = [
    "GlossaryEntry",
    "find_words",
    "load_glossary",
    "load_lemmas",
    "share_of_words",
    "translate",
]


@dataclass(frozen=True, slots=True)
class GlossaryEntry:
    """A word or phrase of a language's scenarios.

    Attributes:
        translations: By ISO 639-1 code.
        topics: Topics of the turns that ask for it.
    """

    translations: Mapping[str, str]
    topics: frozenset[str]


@cache
def load_glossary(language: str) -> dict[str, GlossaryEntry]:
    """Return the words and phrases of all scenarios of a language."""
    glossary: dict[str, GlossaryEntry] = {}
    for turn in (turn for it in load_scenarios() if it.language == language for turn in it.turns):
        for word, translations in turn.words.items():
            topics = glossary[word].topics if word in glossary else frozenset()
            glossary[word] = GlossaryEntry(translations, topics | {turn.topic})
    return glossary


def find_words(text: str, language: str) -> tuple[str, ...]:
    """Return the words and phrases of the glossary in a text, in its order, each once.

    A word counts in any form of its lemma (`mesas` is `mesa`). A word without its accents counts
    if it is no other word: `cafe` is `café`, `te` is not `té`.
    """
    glossary = load_glossary(language)
    unaccented = {plain(word): word for word in glossary}
    said = plain(text)
    phrases = (word for word in glossary if " " in word and has_any((word,), said))
    words = (_entry(token, language, glossary, unaccented) for token in tokens(text.casefold()))
    return tuple(dict.fromkeys(word for word in (*words, *phrases) if word))


def translate(word: str, language: str, native: str | None) -> str:
    """Return a glossary's word in the learner's native language, or else in another one.

    Args:
        word: A word of the glossary.
        language: The glossary's language.
        native: ISO 639-1 code.
    """
    translations = load_glossary(language)[word].translations
    return translations.get(native or "") or next(iter(translations.values()))


def share_of_words(words: Iterable[str], language: str) -> float:
    """Return the share of words that a language has, 0 to 1; 0 for one without a dictionary."""
    asked = [word.casefold() for word in words]
    try:
        known = [it for it in asked if _dictionary().get_lemma(it, language) is not None]
    except (LookupError, ValueError):
        return 0.0
    return len(known) / len(asked) if asked else 0.0


def load_lemmas(languages: Iterable[str]) -> None:
    """Load the dictionaries, about a second each, so that no turn has to wait for them."""
    for language in languages:
        _dictionary().get_lemma("a", language)


def _entry(
    token: str, language: str, glossary: Mapping[str, object], unaccented: Mapping[str, str]
) -> str | None:
    """Return the glossary's word that a token is a form of, if any."""
    lemma = _dictionary().get_lemma(token, language)
    if lemma is None and token not in glossary:  # no word: it may lack its accents
        return unaccented.get(plain(token))
    return next((form for form in (token, lemma) if form in glossary), None)


@cache
def _dictionary() -> DictionaryLookupStrategy:
    """Return simplemma's dictionaries in 10 MB for Spanish; its default needs 80 MB."""
    return DictionaryLookupStrategy(dictionary_factory=StreamDictionaryFactory())

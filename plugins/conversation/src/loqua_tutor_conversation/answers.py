"""Classification of utterances: a name, yes or no, a goodbye, or an answer to a turn."""

from collections.abc import Iterable
from difflib import get_close_matches

from .language import Language
from .plain import has_any, plain, tokens
from .scenario import ScenarioTurn
from .vocabulary import find_words, share_of_words

__all__ = ["agrees", "asks_for_help", "disagrees", "find_name", "is_answer", "says_goodbye"]

_SHORT = 5
"""Words of an utterance that only says yes or no; a longer one says something else, too."""

_NAME_WORDS = 2

_NEARLY = 0.8
"""Share of the letters that a misspelt word has of the right one; `caffe` has .89 of `cafe`."""


def agrees(language: Language, text: str) -> bool:
    """Return whether an utterance says yes and nothing much else."""
    return _is_only(language.yes, text) and not has_any(language.no, plain(text))


def disagrees(language: Language, text: str) -> bool:
    """Return whether an utterance says no and nothing much else."""
    return _is_only(language.no, text)


def says_goodbye(language: Language, text: str) -> bool:
    """Return whether the learner takes leave."""
    return _is_only(language.goodbye, text)


def asks_for_help(languages: Iterable[Language], text: str) -> bool:
    """Return whether the learner asks to hear the question again, or for help with it."""
    return any(has_any(it.lost, plain(text)) or _is_only(it.unsure, text) for it in languages)


def is_answer(turn: ScenarioTurn, code: str, text: str) -> bool:
    """Return whether an utterance answers a turn that does not ask for a name."""
    if not turn.expects and not turn.words:
        return True
    phrases = (
        *turn.expects,
        *turn.recasts,
        *(it for branch in turn.branches for it in branch.hears),
    )
    is_said = has_any(phrases, plain(text)) or turn.words.keys() & set(find_words(text, code))
    return bool(is_said) or _is_misspelt((*turn.expects, *turn.words), code, text)


def _is_misspelt(expected: Iterable[str], code: str, text: str) -> bool:
    """Return whether a recogniser has written an expected word of one as no word: caffe.

    With nothing around it, it knows a word by its sound alone.
    """
    said = tokens(text)
    if len(said) != 1 or share_of_words(said, code):
        return False
    return bool(get_close_matches(plain(text), map(plain, expected), cutoff=_NEARLY))


def find_name(language: Language, text: str) -> tuple[str, bool] | None:
    """Return the name in an utterance and whether it is certain; None if there is none.

    It is certain after a phrase such as `me llamo`, if the recogniser wrote it as a name. A name
    alone is uncertain, because that is also how a sentence is misheard.
    """
    words = tokens(text)
    for phrase in language.name_after:
        length = len(tokens(phrase))
        for start in range(length, len(words)):
            if plain(" ".join(words[start - length : start])) == plain(phrase):
                name = _name_at(language, words[start:])
                return (name, words[start][0].isupper()) if name else None
    name = _name_at(language, words)
    is_alone = name and len(words) <= _NAME_WORDS and len(tokens(name)) == len(words)
    return (name, False) if is_alone else None


def _name_at(language: Language, words: list[str]) -> str:
    """Return the name at the beginning of these words, or an empty text."""
    never = {plain(word) for word in language.not_names}
    name: list[str] = []
    for word in words[:_NAME_WORDS]:
        is_second = bool(name)
        if plain(word) in never or word.isdigit() or (is_second and not word[0].isupper()):
            break
        name.append(word[0].upper() + word[1:])
    return " ".join(name)


def _is_only(phrases: tuple[str, ...], text: str) -> bool:
    said = plain(text)
    return len(said.split()) <= _SHORT and has_any(phrases, said)

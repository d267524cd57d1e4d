"""Pronunciations of English words: CMU's dictionary, and a model for other words."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from loqua_speech.errors import WeightsError
from loqua_speech.pronunciation.network import package_folder
from loqua_speech.pronunciation.phones import phones_of_ipa

__all__ = ["PronunciationLexicon", "ReferenceWord", "primary_language", "split_words"]

UNSTRESSED, NO_VOWEL = 0, 3


@dataclass(frozen=True, slots=True)
class ReferenceWord:
    """A word of the text and its pronunciation.

    Attributes:
        text: The word as the text writes it.
        phones: Its phones in ARPAbet.
        stress: For each phone 0 to 2 as in ARPAbet, or 3 for a consonant.
    """

    text: str
    phones: tuple[str, ...]
    stress: tuple[int, ...]

    @classmethod
    def parse(cls, text: str, phones: tuple[str, ...]) -> Self:
        """Return the word with phones such as `AH0`; a word of one syllable has no stress."""
        digits = [int(phone[-1]) if phone[-1].isdigit() else NO_VOWEL for phone in phones]
        if sum(digit != NO_VOWEL for digit in digits) == 1:
            digits = [min(digit, UNSTRESSED) if digit != NO_VOWEL else digit for digit in digits]
        return cls(text, tuple(phone.rstrip("012") for phone in phones), tuple(digits))


class PronunciationLexicon:
    """Pronunciations of words; English only."""

    def __init__(
        self, entries: Mapping[str, str], guess: Callable[[str], str] = lambda _: ""
    ) -> None:
        """Look words up in the entries; `guess` returns the IPA of a word that is not there."""
        self._entries = entries
        self._guess = cache(guess)

    @classmethod
    def packaged(cls) -> Self:
        """Return CMU's dictionary 0.7b (BSD) as the package pronouncing ships it.

        Words outside it are guessed by hama's grapheme-to-phoneme model, loaded on first use.

        Raises:
            WeightsError: If the dictionary is missing.
        """
        file = package_folder("pronouncing") / "cmudict-0.7b"
        try:
            lines = file.read_text("latin-1").splitlines()
        except OSError as error:
            raise WeightsError(
                f"{file} cannot be read ({error.strerror}): install pronouncing==0.1.5"
            ) from error
        entries = dict(line.split("  ", 1) for line in lines if not line.startswith(";;;"))
        return cls(entries, _guess_ipa)

    def pronounce(self, text: str) -> tuple[ReferenceWord, ...]:
        """Return the words of a text; one whose pronunciation is unknown has no phones."""
        return tuple(self._word(word) for word in split_words(text))

    def _word(self, word: str) -> ReferenceWord:
        key = word.upper().replace("’", "'")  # noqa: RUF001
        entry = self._entries.get(key) or self._possessive(key)
        if entry:
            return ReferenceWord.parse(word, tuple(entry.split()))
        phones = phones_of_ipa(self._guess(key.lower()))
        return ReferenceWord.parse(word, phones)

    def _possessive(self, key: str) -> str | None:
        stem = self._entries.get(key.removesuffix("'S")) if key.endswith("'S") else None
        return f"{stem} Z" if stem else None


def primary_language(tag: str) -> str:
    """Return the language of a tag: "en" for "en-US"."""
    return tag.strip().replace("_", "-").partition("-")[0].lower()


def split_words(text: str) -> Iterator[str]:
    """Yield the words of a text without punctuation."""
    for match in re.finditer(r"[^\W_]+(?:['’][^\W_]+)*", text):  # noqa: RUF001
        yield match.group()


def _guess_ipa(word: str) -> str:
    return str(_guesser().predict(word).ipa)


@cache
def _guesser() -> Any:
    from hama import G2PModel  # noqa: PLC0415 loads a library that few texts need

    return G2PModel()

"""The phones of General American in ARPAbet, and their IPA tokens in the network."""

# ruff: noqa: RUF001 IPA's letters look like others

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLANK",
    "CLASSES",
    "IPA",
    "OTHER",
    "PHONES",
    "PHONE_NUMBERS",
    "TRAITS",
    "class_matrix",
    "phones_of_ipa",
]

IntArray = NDArray[np.int64]

_TOKENS = {
    "AA": "ɑ ɒ a ä",
    "AE": "æ",
    "AH": "ʌ ə ɐ ᵊ",
    "AO": "ɔ",
    "AW": "aʊ",
    "AY": "aɪ",
    "B": "b ɓ",
    "CH": "t͡ʃ t͡ɕ t͡ɕʰ t͡ɕ͈",
    "D": "d ɖ ɗ",
    "DH": "ð",
    "EH": "ɛ eə",
    "ER": "ɝ ɚ ɜ",
    "EY": "eɪ e",
    "F": "f",
    "G": "g ɡ",
    "HH": "h ɦ ħ x χ",
    "IH": "ɪ ɪə ɨ",
    "IY": "i",
    "JH": "d͡ʒ",
    "K": "k kʰ c k͈",
    "L": "l ɫ",
    "M": "m",
    "N": "n ɲ ñ",
    "NG": "ŋ",
    "OW": "oʊ o",
    "OY": "ɔɪ",
    "P": "p pʰ p͈",
    "R": "ɹ r ɾ ɻ",
    "S": "s s͈",
    "SH": "ʃ ɕ ʂ",
    "T": "t tʰ t͈",
    "TH": "θ",
    "UH": "ʊ",
    "UW": "u ʉ",
    "V": "v ʋ β",
    "W": "w",
    "Y": "j",
    "Z": "z",
    "ZH": "ʒ ʑ",
}

PHONES = tuple(_TOKENS)
PHONE_NUMBERS = {phone: number for number, phone in enumerate(PHONES)}
IPA = {phone: tokens.split()[0] for phone, tokens in _TOKENS.items()}
"""How each phone is written for learners."""
OTHER = len(PHONES)
"""Class of every sound that is no phone of English."""
BLANK = OTHER + 1
"""Class of the frames between sounds."""
CLASSES = BLANK + 1

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_TRAITS = (
    _VOWELS,
    f"{_VOWELS} B D G V DH Z ZH JH M N NG L R W Y",  # voiced
    "P T K B D G",
    "F TH S SH HH V DH Z ZH CH JH",
    "P B M F V W",  # labial
    "T D S Z N L TH DH SH ZH CH JH R",  # coronal
)
TRAITS: NDArray[np.float64] = np.array(
    [[phone in trait.split() for trait in _TRAITS] for phone in PHONES] + [[False] * 6] * 2, float
)
"""Whether each phone is a vowel, voiced, a stop, a fricative, labial, coronal; two rows of
zeros follow, for another sound and for a sound left out."""


def class_matrix(tokens: Sequence[str]) -> NDArray[np.float32]:
    """Return which token counts as which class, one row a token; the last column is `<wb>`."""
    matrix = np.zeros((len(tokens), CLASSES + 1), np.float32)
    classes = {ipa: PHONE_NUMBERS[phone] for phone, all_ in _TOKENS.items() for ipa in all_.split()}
    classes |= {"<blank>": BLANK, "<wb>": CLASSES}
    for row, token in enumerate(tokens):
        stray = BLANK if _is_diacritic(token) else OTHER
        matrix[row, classes.get(token, stray)] = 1
    return matrix


def phones_of_ipa(ipa: str) -> tuple[str, ...]:
    """Return the phones that an IPA transcription spells; what is no phone is left out."""
    spellings = {token: phone for phone, all_ in _TOKENS.items() for token in all_.split()}
    longest_first = sorted(spellings, key=len, reverse=True)
    phones, at = [], 0
    while at < len(ipa):
        found = next((token for token in longest_first if ipa.startswith(token, at)), None)
        phones += [spellings[found]] if found else []
        at += len(found or " ")
    return tuple(phones)


def _is_diacritic(symbol: str) -> bool:
    categories = ("Mn", "Lm", "Sk", "Pc")
    return len(symbol) == 1 and (unicodedata.category(symbol) in categories or symbol in "‿˞")

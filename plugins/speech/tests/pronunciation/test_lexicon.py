"""Pronunciations of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_speech.pronunciation.lexicon import PronunciationLexicon, ReferenceWord, split_words
from loqua_speech.pronunciation.phones import PHONES, phones_of_ipa


@pytest.fixture(scope="module")
def lexicon() -> PronunciationLexicon:
    """Return the packaged lexicon."""
    return PronunciationLexicon.packaged()


def test_words_come_with_phones_and_stress(lexicon: PronunciationLexicon) -> None:
    """They are those of CMU's dictionary; a word of one syllable has no stress to score."""
    assert lexicon.pronounce("The teacher.") == (
        ReferenceWord("The", ("DH", "AH"), (3, 0)),
        ReferenceWord("teacher", ("T", "IY", "CH", "ER"), (3, 1, 3, 0)),
    )


def test_a_word_outside_the_dictionary_is_guessed(lexicon: PronunciationLexicon) -> None:
    """By the model that hama ships."""
    (word,) = lexicon.pronounce("kubernetes")

    assert word.phones[:3] == ("K", "UW", "B")


def test_a_possessive_has_its_s(lexicon: PronunciationLexicon) -> None:
    """The dictionary has few of them."""
    (word,) = lexicon.pronounce("xylophone's")

    assert word.phones[-2:] == ("N", "Z")


def test_a_word_that_nobody_can_guess_has_no_phones() -> None:
    """The scorer refuses it."""
    assert PronunciationLexicon({}).pronounce("1984") == (ReferenceWord("1984", (), ()),)


def test_ipa_is_read_by_its_longest_signs() -> None:
    """An affricate is one phone, not two."""
    assert phones_of_ipa("t͡ʃɛɹ") == ("CH", "EH", "R")


@given(st.text(max_size=60))
def test_any_text_has_words_or_none(text: str) -> None:
    """No word is empty, and none is made up."""
    assert all(word and word in text for word in split_words(text))


@given(st.text(max_size=30))
def test_any_ipa_has_phones_or_none(ipa: str) -> None:
    """All phones that it returns are English."""
    assert set(phones_of_ipa(ipa)) <= set(PHONES)

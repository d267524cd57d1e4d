"""Recognised and missed words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_tutor_pronunciation.recognition import compare


def missed(expected: str, heard: str) -> list[str]:
    """Return the words that were not recognised."""
    return [word.text for word in compare(expected, heard) if not word.recognised]


@pytest.mark.parametrize(
    ("heard", "misses"),
    [
        ("La casa es muy grande.", []),
        ("la casa es muy grande", []),
        ("El casa es muy grande.", ["La"]),
        ("La casa muy grande", ["es"]),
        ("La casa es muy muy grande", []),
        ("Bueno, la casa es muy grande.", []),
        ("grande", ["La", "casa", "es", "muy"]),
        ("muy casa", ["La", "es", "muy", "grande"]),
        ("", ["La", "casa", "es", "muy", "grande"]),
    ],
)
def test_a_word_counts_when_it_was_heard_at_its_place(heard: str, misses: list[str]) -> None:
    """Replaced and missing words are misses, added words are not."""
    assert missed("La casa es muy grande.", heard) == misses


def test_accents_do_not_count() -> None:
    """A recogniser's spelling is not the learner's pronunciation."""
    assert missed("El autobús está aquí.", "el autobus esta aqui") == []


def test_contractions_are_one_word() -> None:
    """Straight and curly apostrophes are the same."""
    assert missed("I don't know.", "I don\N{RIGHT SINGLE QUOTATION MARK}t know") == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_word_is_scored_once_in_its_order(expected: str, heard: str) -> None:
    """Each word of the exercise gets one verdict, for any recognised text."""
    words = [word.text for word in compare(expected, heard)]
    assert words == [word.text for word in compare(expected, expected)]


@given(st.text(max_size=60))
def test_a_text_recognises_itself(text: str) -> None:
    """No word is missed if all were recognised."""
    assert missed(text, text) == []


@given(st.lists(st.sampled_from("abc"), max_size=7), st.lists(st.sampled_from("abc"), max_size=7))
def test_no_more_words_match_than_were_heard(expected: list[str], heard: list[str]) -> None:
    """A word that was heard once is credited once."""
    hits = [word.text for word in compare(" ".join(expected), " ".join(heard)) if word.recognised]
    assert all(hits.count(letter) <= heard.count(letter) for letter in "abc")

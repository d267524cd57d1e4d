"""The choice of the sound to comment on, and the comment."""

# ruff: noqa: RUF001 IPA's letters look like others

from typing import Any

import pytest

from loqua_host import Assessment
from loqua_tutor_pronunciation.exercises import load_language, plan
from loqua_tutor_pronunciation.findings import describe, find, has_risen
from loqua_tutor_pronunciation.practice import PracticeState, advance, line, report

ENGLISH = load_language("en")
START = PracticeState(exercises=plan(ENGLISH, count=2, lessons_before=0))
TEXT = START.exercises[0].text


def phoneme(
    expected: str, score: float, heard: str | None = None, substitution: float = 0
) -> dict[str, Any]:
    """Return a sound as the server describes it."""
    return {
        "Phoneme": expected,
        "AccuracyScore": score,
        "Substitution": substitution,
        "NBestPhonemes": [{"Phoneme": expected if heard is None else heard, "Score": 90}],
    }


def said(*phonemes: dict[str, Any], word: str = "ship", accuracy: float = 30) -> Assessment:
    """Return an assessment of one word with these sounds."""
    words = [{"Word": word, "AccuracyScore": accuracy, "Phonemes": phonemes}]
    return Assessment.model_validate({"PronScore": 60, "Words": words})


@pytest.mark.parametrize(
    ("expected", "heard", "sentence"),
    [
        ("ɪ", "i", "In ship, the vowel is too long."),
        ("i", "ɪ", "In ship, the vowel is too short."),
        ("θ", "s", "In ship, I heard s as in sun, not th as in think."),
        ("θ", "", "In ship, mind the th as in think."),
    ],
    ids=["long", "short", "replaced", "unclear"],
)
def test_the_worst_sound_is_told_with_what_was_heard(
    expected: str, heard: str, sentence: str
) -> None:
    """In words that a voice can say."""
    finding = find(said(phoneme("p", 39), phoneme(expected, 10, heard)), ENGLISH, ())

    assert finding is not None
    assert describe(finding, ENGLISH) == sentence


def test_a_sound_that_is_only_somewhat_wrong_is_not_told() -> None:
    """The scorer is right too seldom there."""
    assert find(said(phoneme("p", 55)), ENGLISH, ()) is None


def test_a_sound_that_was_surely_replaced_is_told_whatever_its_score() -> None:
    """One wrong sound in a fluent sentence hardly lowers the score."""
    sounds = phoneme("p", 90), phoneme("θ", 85, "s", substitution=0.99)
    finding = find(said(*sounds, word="think"), ENGLISH, ())

    assert finding is not None
    assert describe(finding, ENGLISH) == "In think, I heard s as in sun, not th as in think."
    assert find(said(phoneme("θ", 85, "s", substitution=0.6)), ENGLISH, ()) is None


def test_in_a_word_that_was_not_recognised_the_likeliest_wrong_sound_is_told() -> None:
    """The tutor does not name the other sound and does not report a weak sound: both are unsure."""
    books = phoneme("b", 90, substitution=0.2), phoneme("ʊ", 85, "u", substitution=0.6)
    state = advance(START, ENGLISH, "I like to read boots.", said(*books, word="books"))

    assert line(state, ENGLISH) == (
        f"Almost. I did not recognise: books. In books, mind the oo as in good. Once more: {TEXT}"
    )
    assert state.sounds == ("ʊ",)
    assert report(state, ENGLISH, None).topics_covered == ("pronunciation",)


def test_in_a_word_that_was_not_recognised_a_sound_that_was_likely_right_is_not_told() -> None:
    """The recogniser errs more often than the learner then."""
    assessment = said(phoneme("b", 90, substitution=0.05), word="books")

    assert advance(START, ENGLISH, "I like to read boots.", assessment).finding is None


def test_a_word_that_is_well_said_is_not_corrected_whatever_it_was_taken_for() -> None:
    """The scorer knows the text, the recogniser does not."""
    sounds = (phoneme(it, 95, substitution=0.01) for it in "bʊks")
    right = said(*sounds, word="books", accuracy=97)
    state = advance(START, ENGLISH, "I like to read boots.", right)

    assert state.last == "right"
    assert (state.recognised, state.expected) == (5, 5)


@pytest.mark.parametrize(
    ("accuracy", "sounds"),
    [
        (60, (phoneme("b", 95), phoneme("ʊ", 95))),
        (97, (phoneme("b", 45), phoneme("ʊ", 95))),
        (97, (phoneme("b", 95, substitution=0.2), phoneme("ʊ", 95))),
        (97, (phoneme("ʌ", 95),)),
    ],
    ids=["a poor word", "a wrong sound", "a sound that may be another", "a sound alone"],
)
def test_a_word_that_may_be_wrong_is_corrected_if_it_was_not_recognised(
    accuracy: float, sounds: tuple[dict[str, Any], ...]
) -> None:
    """Both say so."""
    state = advance(
        START, ENGLISH, "I like to read boots.", said(*sounds, word="books", accuracy=accuracy)
    )

    assert state.unrecognised == ("books",)


def test_there_is_no_third_sound_in_a_lesson() -> None:
    """The two sounds that were corrected before may be corrected again."""
    assert find(said(phoneme("p", 10)), ENGLISH, ("s", "t")) is None
    assert find(said(phoneme("p", 10)), ENGLISH, ("s", "p")) is not None


def test_a_sound_without_a_name_is_not_told() -> None:
    """Spanish has none here: no expert-scored corpus stands behind it."""
    assert find(said(phoneme("p", 10)), load_language("es"), ()) is None


def test_only_what_rose_is_praised() -> None:
    """The second try is compared with the first; a sound that stays wrong is let pass."""
    first = advance(START, ENGLISH, TEXT, said(phoneme("s", 10, "z"), word="books"))
    better = advance(first, ENGLISH, TEXT, said(phoneme("s", 90), word="books", accuracy=80))
    same = advance(first, ENGLISH, TEXT, said(phoneme("s", 10, "z"), word="books"))

    assert line(first, ENGLISH).endswith(f"Once more: {TEXT}")
    assert line(better, ENGLISH).startswith("Better: books.")
    assert line(same, ENGLISH).startswith("Let us go on.")


def test_a_replaced_sound_that_is_right_now_is_praised_whatever_the_words_score() -> None:
    """One sound in a fluent sentence hardly changes it."""
    first, second = (
        said(phoneme("θ", 85, substitution=it), word="books", accuracy=98) for it in (0.95, 0.1)
    )
    better = advance(advance(START, ENGLISH, TEXT, first), ENGLISH, TEXT, second)

    assert line(better, ENGLISH).startswith("Better: books.")


def test_a_second_try_that_is_no_better_is_not_praised() -> None:
    """The sound is just below the limit now, by chance as likely as by effort."""
    first, second = (said(phoneme("θ", 85, substitution=it), word="books") for it in (0.95, 0.85))
    same = advance(advance(START, ENGLISH, TEXT, first), ENGLISH, TEXT, second)

    assert line(same, ENGLISH).startswith("Let us go on.")


def test_a_difference_within_the_scorers_noise_is_no_rise() -> None:
    """Ten points are nothing."""
    finding = find(said(phoneme("p", 10)), ENGLISH, ())

    assert finding is not None
    assert not has_risen(finding, said(phoneme("p", 20)))


def test_a_sound_is_better_if_it_is_better_wherever_the_word_has_it() -> None:
    """The one that was wrong may be any of them."""
    finding = find(said(phoneme("p", 10)), ENGLISH, ())

    assert finding is not None
    assert not has_risen(finding, said(phoneme("p", 10), phoneme("p", 90)))


def test_a_report_recommends_the_sounds_that_were_corrected() -> None:
    """By the names that the tutor said."""
    state = advance(START, ENGLISH, TEXT, said(phoneme("s", 10, "z"), word="books"))

    assert report(state, ENGLISH, None).recommendations == ("Practise these sounds: s as in sun",)


def test_a_word_that_was_not_recognised_is_the_only_headline() -> None:
    """One thing a try."""
    state = advance(START, ENGLISH, "I like to read book.", said(phoneme("s", 10)))

    assert state.finding is None
    assert "books" in line(state, ENGLISH)

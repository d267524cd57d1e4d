"""Reliable findings about a learner's pronunciation in free speech."""

from functools import reduce

import pytest

from loqua_host import Assessment, RecognizedWord
from loqua_tutor_conversation.spoken_sounds import (
    FEWEST_UTTERANCES,
    NO_SOUNDS,
    SpokenSounds,
    mean_score,
    note_sounds,
    recurring_sound,
)

SOUNDS = {
    "i": "aɪ",  # noqa: RUF001 IPA
    "think": "θɪŋk",  # noqa: RUF001 IPA
    "so": "so",
    "three": "θɹi",
    "it's": "ɪts",  # noqa: RUF001 IPA
    "twenty": "t",
    "one": "w",
}


def words(text: str, confidence: float = 0.95) -> tuple[RecognizedWord, ...]:
    """Return the words of a text as they were recognised."""
    return tuple(RecognizedWord(word, confidence) for word in text.split())


def assessed(text: str, *, wrong: str = "", confidence: float = 0.9) -> Assessment:
    """Return an assessment in which some sounds are clearly wrong."""
    return Assessment.model_validate(
        {
            "PronScore": 80.0,
            "Confidence": confidence,
            "Words": [
                {
                    "Word": word,
                    "AccuracyScore": 70.0,
                    "Phonemes": [
                        {"Phoneme": sound, "AccuracyScore": 20.0 if sound in wrong else 90.0}
                        for sound in SOUNDS.get(word, "x")
                    ],
                }
                for word in text.split()
            ],
        }
    )


def after(*utterances: tuple[str, str]) -> SpokenSounds:
    """Return what is certain after utterances, each with its wrong sounds."""
    return reduce(
        lambda sounds, it: note_sounds(
            sounds, it[0], words(it[1][0]), 0.9, assessed(it[1][0], wrong=it[1][1])
        ),
        enumerate(utterances, 1),
        NO_SOUNDS,
    )


def test_a_sound_that_is_wrong_in_three_utterances_returns() -> None:
    """Twice in one of them is once."""
    wrong = ("i think so", "θ")
    assert recurring_sound(after(wrong, wrong)) is None
    assert recurring_sound(after(wrong, ("think three three", "θ"))) is None
    sounds = after(wrong, wrong, ("i so three", "θ"))
    assert recurring_sound(sounds) == "θ"
    assert [(it.word, it.utterance) for it in sounds.weak] == [
        ("think", 1),
        ("think", 2),
        ("three", 3),
    ]


def test_a_sound_that_is_mostly_right_does_not_return() -> None:
    """The scorer errs, and learners slip."""
    often = [("i think so", "θ" if at % 4 == 0 else "") for at in range(12)]
    assert recurring_sound(after(*often)) is None


def test_a_score_needs_utterances() -> None:
    """It is their mean."""
    said = [("i think so", "")] * FEWEST_UTTERANCES
    assert mean_score(after(*said[1:])) is None
    assert mean_score(after(*said)) == 80.0


@pytest.mark.parametrize(
    ("recognised", "confidence", "fit"),
    [
        pytest.param(words("i think so", 0.8), 0.9, 0.9, id="words that the recogniser doubts"),
        pytest.param(words("i think"), 0.9, 0.9, id="too few words"),
        pytest.param(words("i thing so"), 0.9, 0.9, id="other words"),
        pytest.param(words("i think so"), 0.5, 0.9, id="a doubtful utterance"),
        pytest.param(words("i think so"), 0.9, 0.4, id="words that do not fit the sound"),
    ],
)
def test_what_is_uncertain_does_not_count(
    recognised: tuple[RecognizedWord, ...], confidence: float, fit: float
) -> None:
    """It changes neither the score nor the weak sounds."""
    text = " ".join(it.text for it in recognised).replace("thing", "think")
    assessment = assessed(text, wrong="θ", confidence=fit)
    assert note_sounds(NO_SOUNDS, 1, recognised, confidence, assessment) == NO_SOUNDS


def test_words_are_the_same_however_the_two_write_them() -> None:
    """The scorer splits at hyphens and keeps no punctuation."""
    sounds = note_sounds(
        NO_SOUNDS, 1, words("It's twenty-one!"), 0.9, assessed("it's twenty one", wrong="t")
    )
    assert [(it.sound, it.word) for it in sounds.weak] == [("t", "twenty")]


def test_an_utterance_counts_once() -> None:
    """Also if a part of it was scored before the learner went on."""
    once = after(("i think so", "θ"))
    assert note_sounds(once, 1, words("i think so"), 0.9, assessed("i think so")) == once

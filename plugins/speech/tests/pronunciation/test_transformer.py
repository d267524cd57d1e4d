"""Scores of a sequence of phones."""

import numpy as np
import pytest

from loqua_speech.pronunciation.head import UTTERANCE_SCORES, WORD_SCORES, Head
from loqua_speech.pronunciation.inputs import PhoneSequence
from loqua_speech.pronunciation.transformer import Transformer, forward, scaled

WORDS = (3, 1, 2)
"""Phones of each word."""


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    """Return the first packaged transformer."""
    return Head.packaged().reading.transformers[0]


@pytest.fixture(scope="module")
def sequence(transformer: Transformer) -> PhoneSequence:
    """Return an utterance of noise."""
    drawn = np.random.default_rng(1).standard_normal
    sizes = {name: len(transformer.weights[name]) for name in ("rows", "whole", "sound")}
    words = np.repeat(np.arange(len(WORDS)), WORDS)
    return PhoneSequence(
        drawn((len(words), sizes["rows"]), np.float32),
        np.arange(len(words)),
        (np.arange(len(WORDS))[:, None] == words).astype(np.float32),
        drawn(sizes["whole"], np.float32),
        drawn(sizes["sound"], np.float32),
    )


def test_each_phone_and_word_and_the_whole_have_scores(
    transformer: Transformer, sequence: PhoneSequence
) -> None:
    """In the experts' order."""
    phones, words, utterance = transformer.predict(sequence)

    assert phones.shape == (sum(WORDS),)
    assert words.shape == (len(WORDS), len(WORD_SCORES))
    assert utterance.shape == (len(UTTERANCE_SCORES),)


def test_padding_changes_nothing(transformer: Transformer, sequence: PhoneSequence) -> None:
    """Training pads utterances to one size, lessons do not."""
    padded = PhoneSequence(
        np.pad(sequence.rows, ((0, 5), (0, 0))),
        np.pad(sequence.phones, (0, 5)),
        np.pad(sequence.members, ((0, 2), (0, 5))),
        sequence.whole,
        sequence.sound,
    )
    weights = {name: it.astype(np.float32) for name, it in transformer.weights.items()}
    phones, words, utterance = forward(weights, scaled(weights, padded), np)
    expected = forward(weights, scaled(weights, sequence), np)

    assert phones[: sum(WORDS)] == pytest.approx(expected[0], abs=1e-4)
    assert words[: len(WORDS)] == pytest.approx(expected[1], abs=1e-4)
    assert utterance == pytest.approx(expected[2], abs=1e-4)


def test_neighbours_matter(transformer: Transformer, sequence: PhoneSequence) -> None:
    """The first phone is scored differently beside another last one."""
    phones = sequence.phones.copy()
    phones[-1] += 1
    other = PhoneSequence(sequence.rows, phones, sequence.members, sequence.whole, sequence.sound)

    assert transformer.predict(other)[0][0] != transformer.predict(sequence)[0][0]

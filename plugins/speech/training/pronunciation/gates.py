"""The accuracy of gates and miscues, on recordings of TRAIN with a changed text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loqua_speech.pronunciation.acoustics import normalise
from loqua_speech.pronunciation.alignment import Alignment, align
from loqua_speech.pronunciation.evidence import phone_numbers
from loqua_speech.pronunciation.lexicon import ReferenceWord
from loqua_speech.pronunciation.miscues import INSERTED, OMITTED, find_miscues
from loqua_speech.pronunciation.network import Frames, PhoneNetwork
from loqua_speech.pronunciation.scorer import OTHER_TEXT
from training.pronunciation.corpus import CorpusUtterance

__all__ = ["render_gates"]

Text = Sequence[ReferenceWord]

_UTTERANCES = 200
_FEWEST_WORDS = 4


@dataclass(frozen=True, slots=True)
class _Gains:
    """Log-likelihood gains, in nats, of a changed text over the text.

    Attributes:
        other: A phone, of right texts and of another utterance's.
        omission: Of right words, and of words that were not said.
        insertion: The best gap of right texts, and of texts that lack a word that was said.
    """

    other: tuple[list[float], list[float]]
    omission: tuple[list[float], list[float]]
    insertion: tuple[list[float], list[float]]


def render_gates(corpus: Path, utterances: Sequence[CorpusUtterance]) -> str:
    """Return a Markdown table of false alarms and detections."""
    generator = np.random.default_rng(2)
    long = [one for one in utterances if len(one.text) >= _FEWEST_WORDS]
    chosen = [long[at] for at in generator.choice(len(long), _UTTERANCES, replace=False)]
    network, gains = PhoneNetwork.packaged(), _Gains(([], []), ([], []), ([], []))
    for at, utterance in enumerate(chosen):
        samples, _ = normalise(utterance.samples(corpus))
        other = chosen[(at + 1) % len(chosen)].text
        _add(gains, network.listen(samples), utterance.text, other, generator)
    rows = [
        ("another text", OTHER_TEXT, gains.other),
        ("word left out", OMITTED, gains.omission),
        ("word put in", INSERTED, gains.insertion),
    ]
    header = "| found | limit | in right texts | in changed texts |\n|---|---|---|---|"
    return "\n".join([header, *(_row(name, limit, *pair) for name, limit, pair in rows)])


def _add(
    gains: _Gains, frames: Frames, text: Text, other: Text, generator: np.random.Generator
) -> None:
    at = int(generator.integers(1, len(text) - 1))
    right, wrong = _aligned(frames, text), _aligned(frames, other)
    longer = [*text[:at], other[0], *text[at:]]
    shorter = [*text[:at], *text[at + 1 :]]
    gains.other[0].append(_free_gain(right))
    gains.other[1].append(_free_gain(wrong))
    gains.omission[0].extend(_omissions(right, text))
    gains.omission[1].append(_omissions(_aligned(frames, longer), longer)[at])
    gains.insertion[0].append(_insertion(right, text))
    gains.insertion[1].append(_insertion(_aligned(frames, shorter), shorter))


def _aligned(frames: Frames, text: Text) -> Alignment:
    return align(frames.log_posteriors, phone_numbers(text))


def _free_gain(alignment: Alignment) -> float:
    free = float(alignment.log_posteriors.max(axis=1).sum())
    return (free - alignment.best) / len(alignment.phones)


def _omissions(alignment: Alignment, text: Text) -> list[float]:
    words = np.repeat(np.arange(len(text)), [len(word.phones) for word in text])
    return list(find_miscues(alignment, words).omitted)


def _insertion(alignment: Alignment, text: Text) -> float:
    words = np.repeat(np.arange(len(text)), [len(word.phones) for word in text])
    return INSERTED + 1.0 if find_miscues(alignment, words).inserted else 0.0


def _row(name: str, limit: float, right: Sequence[float], wrong: Sequence[float]) -> str:
    alarms, found = (np.mean(np.array(values) > limit) for values in (right, wrong))
    return f"| {name} | {limit:g} | {100 * alarms:.1f} % | {100 * found:.1f} % |"

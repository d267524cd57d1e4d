"""The agreement of predicted scores with experts', with intervals by resampling speakers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.head import UTTERANCE_SCORES, WORD_SCORES, Scores
from training.pronunciation.corpus import CorpusUtterance

__all__ = ["best_threshold", "render_sound", "render_substitutions", "render_table"]

FloatArray = NDArray[np.float64]

MISPRONOUNCED = 0.5
"""An expert mean below it, of 2, is a mispronounced phone."""
_RESAMPLES = 500

WELL_SPOKEN = 8
"""An utterance's total, of 10, from which on a correction counts as a false alarm."""
_FALSE_ALARMS = (0.01, 0.02, 0.05)
_POOR, _FAULTLESS = 1.0, 1.8  # of 2


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Predicted and experts' scores, each with its speaker's number."""

    predicted: FloatArray
    expected: FloatArray
    speaker: NDArray[np.int64]

    def rows(self, chosen: NDArray[np.int64]) -> Self:
        """Return these pairs alone."""
        return type(self)(self.predicted[chosen], self.expected[chosen], self.speaker[chosen])


def render_table(
    utterances: Sequence[CorpusUtterance], scores: Sequence[Scores], threshold: float
) -> str:
    """Return a Markdown table of all measures with 95 % intervals, whole and by age.

    Args:
        utterances: What the experts said.
        scores: What was predicted.
        threshold: Phone score below which a phone is called mispronounced.
    """
    header = (
        "| measure | all | 95 % interval | age ≤ 9 | 10 to 15 | adults |\n|---|---|---|---|---|---|"
    )
    ages = np.array([utterance.age for utterance in utterances])
    groups = [ages <= 9, (ages > 9) & (ages <= 15), ages > 15]  # noqa: PLR2004 years
    lines = [header]
    for name, pairs, measure in _measures(utterances, scores, threshold):
        low, high = _interval(pairs(np.ones(len(ages), bool)), measure)
        values = [measure(pairs(group)) for group in (np.ones(len(ages), bool), *groups)]
        rest = " | ".join(f"{value:.3f}" for value in values[1:])
        lines.append(f"| {name} | {values[0]:.3f} | {low:.3f} to {high:.3f} | {rest} |")
    return "\n".join(lines)


def best_threshold(utterances: Sequence[CorpusUtterance], scores: Sequence[Scores]) -> float:
    """Return the phone score with the best F1 for mispronounced phones."""
    pairs = _phone_pairs(utterances, scores, np.ones(len(utterances), bool))
    order = np.argsort(pairs.predicted)
    bad = (pairs.expected < MISPRONOUNCED)[order]
    f1 = 2 * np.cumsum(bad) / (np.arange(1, len(bad) + 1) + bad.sum())
    return float(pairs.predicted[order][f1.argmax()])


def render_sound(utterances: Sequence[CorpusUtterance], predicted: FloatArray) -> str:
    """Return a line with how the utterances' scores by their sound alone agree with experts'."""
    expected = np.stack([utterance.scores for utterance in utterances])
    measured = (
        f"{name} {np.corrcoef(predicted[:, column], expected[:, column])[0, 1]:.3f}"
        for column, name in enumerate(UTTERANCE_SCORES)
    )
    return f"By the sound alone, for free speech: {', '.join(measured)}."


def render_substitutions(
    utterances: Sequence[CorpusUtterance], log_odds: Sequence[FloatArray], replaced: FloatArray
) -> str:
    """Return a Markdown table of limits by how many well spoken utterances have false alarms.

    It says how many of the replaced sounds are found; how many of the phones found are
    below 1 and 1.8 of 2 for the experts; and how many of those below 0.5 are found.

    Args:
        utterances: What the experts said.
        log_odds: Of another sound in each of their phones' places.
        replaced: Of sounds that were replaced.
    """
    well = [it.scores[-1] >= WELL_SPOKEN for it in utterances]
    worst = np.array([it.max() for it, good in zip(log_odds, well, strict=True) if good])
    phones, odds = np.concatenate([it.phones for it in utterances]), np.concatenate(log_odds)
    lines = [
        "| false alarms | limit | replaced, found | of those, below 1 | below 1.8 | bad, found |",
        "|---|---|---|---|---|---|",
    ]
    for alarms in _FALSE_ALARMS:
        limit = np.quantile(worst, 1 - alarms)
        flagged = phones[(odds > limit) & ~np.isnan(phones)]
        found = (flagged < MISPRONOUNCED).sum() / (phones < MISPRONOUNCED).sum()
        agreed = [(flagged < score).mean() for score in (_POOR, _FAULTLESS)]
        shares = [(replaced > limit).mean(), *agreed, found]
        rest = " | ".join(f"{100 * share:.0f} %" for share in shares)
        lines.append(f"| {100 * alarms:.0f} % | {1 / (1 + np.exp(-limit)):.2f} | {rest} |")
    return "\n".join(lines)


Measure = Callable[[_Pairs], float]
Selected = Callable[[NDArray[np.bool_]], _Pairs]


def _measures(
    utterances: Sequence[CorpusUtterance], scores: Sequence[Scores], threshold: float
) -> list[tuple[str, Selected, Measure]]:
    def phones(chosen: NDArray[np.bool_]) -> _Pairs:
        return _phone_pairs(utterances, scores, chosen)

    rows: list[tuple[str, Selected, Measure]] = [
        ("phone PCC", phones, _correlation),
        (
            "phone MSE",
            phones,
            lambda pairs: float(((pairs.predicted - pairs.expected) ** 2).mean()),
        ),
        ("mispronunciation F1", phones, lambda pairs: _f1(pairs, threshold)),
    ]
    for column, name in enumerate(WORD_SCORES):
        rows.append((f"word {name} PCC", _words(utterances, scores, column), _correlation))
    for column, name in enumerate(UTTERANCE_SCORES):
        rows.append((f"utterance {name} PCC", _whole(utterances, scores, column), _correlation))
    return rows


def _words(
    utterances: Sequence[CorpusUtterance], scores: Sequence[Scores], column: int
) -> Selected:
    return lambda chosen: _pairs(
        utterances,
        [score.words[:, column] for score in scores],
        [utterance.words[:, column] for utterance in utterances],
        chosen,
    )


def _whole(
    utterances: Sequence[CorpusUtterance], scores: Sequence[Scores], column: int
) -> Selected:
    return lambda chosen: _pairs(
        utterances,
        [score.utterance[column : column + 1] for score in scores],
        [utterance.scores[column : column + 1] for utterance in utterances],
        chosen,
    )


def _phone_pairs(
    utterances: Sequence[CorpusUtterance], scores: Sequence[Scores], chosen: NDArray[np.bool_]
) -> _Pairs:
    predicted = [score.phones for score in scores]
    return _pairs(utterances, predicted, [utterance.phones for utterance in utterances], chosen)


def _pairs(
    utterances: Sequence[CorpusUtterance],
    predicted: Sequence[FloatArray],
    expected: Sequence[FloatArray],
    chosen: NDArray[np.bool_],
) -> _Pairs:
    numbers = {name: at for at, name in enumerate(sorted({u.speaker for u in utterances}))}
    rows = np.flatnonzero(chosen).tolist()
    speaker = [np.full(len(expected[row]), numbers[utterances[row].speaker]) for row in rows]
    truth = np.concatenate([expected[row] for row in rows])
    known = ~np.isnan(truth)
    return _Pairs(
        np.concatenate([predicted[row] for row in rows])[known],
        truth[known],
        np.concatenate(speaker)[known],
    )


def _interval(pairs: _Pairs, measure: Measure) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    speakers = np.unique(pairs.speaker)
    rows = {speaker: np.flatnonzero(pairs.speaker == speaker) for speaker in speakers}
    values = []
    for _ in range(_RESAMPLES):
        drawn = generator.choice(speakers, len(speakers))
        chosen = np.concatenate([rows[speaker] for speaker in drawn])
        values.append(measure(pairs.rows(chosen)))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _correlation(pairs: _Pairs) -> float:
    return float(np.corrcoef(pairs.predicted, pairs.expected)[0, 1])


def _f1(pairs: _Pairs, threshold: float) -> float:
    called, bad = pairs.predicted < threshold, pairs.expected < MISPRONOUNCED
    return float(2 * (called & bad).sum() / (called.sum() + bad.sum()))

"""The likelihood of phones along the frames, by CTC's forward and backward sums.

The likelihood of every other phone at each place, and of leaving the place out, follows the
alignment-free goodness of pronunciation (Cao et al. 2024, "A framework for phoneme-level
pronunciation assessment using CTC").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.phones import BLANK, IntArray

__all__ = ["Alignment", "align", "replacement_likelihoods"]

FloatArray = NDArray[np.float64]
NEVER = -1e30


@dataclass(frozen=True, slots=True)
class Alignment:
    """Phones along frames.

    States are blank, first phone, blank, second phone, …, blank: phone i is state 2 i + 1.

    Attributes:
        phones: Classes of the phones.
        log_posteriors: The frames' log-posteriors, made long enough for all phones.
        forward: Log-likelihood of all paths up to a frame that end in a state, frames by states.
        backward: Log-likelihood of all paths from a frame on that begin in a state.
        likelihood: Log-likelihood of the phones.
        best: Log-likelihood of the best path.
        path: The best path's state at each frame.
    """

    phones: IntArray
    log_posteriors: FloatArray
    forward: FloatArray
    backward: FloatArray
    likelihood: float
    best: float
    path: IntArray


def align(log_posteriors: FloatArray, phones: IntArray) -> Alignment:
    """Return the alignment of at least one phone with the frames."""
    frames = _long_enough(log_posteriors, len(phones))
    labels = np.full(2 * len(phones) + 1, BLANK)
    labels[1::2] = phones
    skips = np.full(len(labels), NEVER)  # from one phone to the next without a blank
    skips[3::2] = np.where(labels[3::2] != labels[1:-2:2], 0.0, NEVER)
    emissions = frames[:, labels]
    forward = _forward(emissions, skips)
    reverse = np.append(skips[2:], [NEVER, NEVER])[::-1]
    backward = _forward(emissions[::-1, ::-1], reverse)[::-1, ::-1]
    best, path = _best_path(emissions, skips)
    likelihood = float(np.logaddexp(forward[-1, -1], forward[-1, -2]))
    return Alignment(phones, frames, forward, backward, likelihood, best, path)


def replacement_likelihoods(alignment: Alignment) -> FloatArray:
    """Return the utterance's log-likelihood with each phone replaced by every class, or left out.

    One row a phone; a column for each phone and for another sound, the last for leaving it out.
    """
    frames, phones = alignment.log_posteriors, alignment.phones
    count, classes = len(phones), np.arange(BLANK)[None]
    before = np.append(-1, phones[:-1])[:, None]
    after = np.append(phones[1:], -1)[:, None]
    enter = np.where((classes != before) & (before >= 0), 0.0, NEVER)
    leave = np.where((classes != after) & (after >= 0), 0.0, NEVER)
    never = np.full((len(frames), 1), NEVER)
    blank_before = alignment.forward[:, 0:-1:2]
    phone_before = np.concatenate([never, alignment.forward[:, 1:-2:2]], axis=1)
    blank_after = alignment.backward[:, 2::2]
    phone_after = np.concatenate([alignment.backward[:, 3::2], never], axis=1)
    inside = np.full((count, BLANK), NEVER)
    inside[0] = frames[0, :BLANK]
    total = np.full((count, BLANK), NEVER)
    for at in range(len(frames)):
        if at:
            entering = np.logaddexp(
                blank_before[at - 1][:, None], phone_before[at - 1][:, None] + enter
            )
            inside = np.logaddexp(inside, entering) + frames[at, :BLANK]
        if at < len(frames) - 1:
            leaving = np.logaddexp(
                blank_after[at + 1][:, None], phone_after[at + 1][:, None] + leave
            )
            total = np.logaddexp(total, inside + leaving)
    total[-1] = np.logaddexp(total[-1], inside[-1])
    return np.concatenate([total, _left_out(alignment, before != after)[:, None]], axis=1)


def _left_out(alignment: Alignment, apart: NDArray[np.bool_]) -> FloatArray:
    """Return the log-likelihood without each phone; `apart` where its neighbours differ."""
    forward, backward, count = alignment.forward, alignment.backward, len(alignment.phones)
    blank_before = forward[:-1, 0:-1:2]
    phone_before = np.concatenate(
        [np.full((len(forward) - 1, 1), NEVER), forward[:-1, 1:-2:2]], axis=1
    )
    without = np.logaddexp(blank_before, phone_before + np.where(apart[:, 0], 0.0, NEVER))
    result = np.full(count, NEVER)
    result[:-1] = np.logaddexp.reduce(without[:, :-1] + backward[1:, 3::2], axis=0)
    if count > 1:
        result[0] = np.logaddexp(result[0], backward[0, 3])
    last_phone = forward[-1, -4] if count > 1 else NEVER
    result[-1] = np.logaddexp(forward[-1, -3], last_phone)
    return result


def _long_enough(log_posteriors: FloatArray, phones: int) -> FloatArray:
    """Return the frames with blank ones behind where they are too few for every phone."""
    missing = 2 * phones + 2 - len(log_posteriors)
    if missing <= 1:
        return log_posteriors
    blank = np.full((missing, log_posteriors.shape[1]), np.log(1e-6))
    blank[:, BLANK] = 0
    return np.concatenate([log_posteriors, blank])


def _forward(emissions: FloatArray, skips: FloatArray) -> FloatArray:
    sums = np.full(emissions.shape, NEVER)
    sums[0, :2] = emissions[0, :2]
    for at in range(1, len(emissions)):
        previous = sums[at - 1]
        reached = previous.copy()
        reached[1:] = np.logaddexp(reached[1:], previous[:-1])
        reached[2:] = np.logaddexp(reached[2:], previous[:-2] + skips[2:])
        sums[at] = reached + emissions[at]
    return sums


def _best_path(emissions: FloatArray, skips: FloatArray) -> tuple[float, IntArray]:
    states = np.arange(emissions.shape[1])
    scores = np.full(emissions.shape[1], NEVER)
    scores[:2] = emissions[0, :2]
    steps = np.zeros(emissions.shape, np.int64)
    for at in range(1, len(emissions)):
        choices = np.full((3, len(scores)), NEVER)
        choices[0] = scores
        choices[1, 1:] = scores[:-1]
        choices[2, 2:] = scores[:-2] + skips[2:]
        steps[at] = choices.argmax(axis=0)
        scores = choices[steps[at], states] + emissions[at]
    state = len(scores) - (1 if scores[-1] > scores[-2] else 2)
    best, path = float(scores[state]), np.zeros(len(emissions), np.int64)
    for at in reversed(range(len(emissions))):
        path[at] = state
        state -= steps[at, state]
    return best, path

"""The one sound of a try that is worth a word."""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

from .exercises import Plan
from .scoring import Assessment, Phoneme, Word

__all__ = ["Finding", "describe", "find", "has_risen"]

CLEARLY_WRONG = 40.0
"""A sound's score below it is told. The server's own limit for a mispronunciation is higher: of
the sounds just below that one, experts find every second fine."""

MOST_SOUNDS = 2
"""Sounds that a lesson corrects; more are more than a learner can mind."""

RISE = 5.0
"""Points by which a word has audibly risen; smaller differences are the scorer's noise."""

_LONG_AND_SHORT = {"i": "ɪ", "u": "ʊ"}  # noqa: RUF001 IPA


class Finding(BaseModel):
    """A sound that was clearly wrong.

    Attributes:
        word: The word that it is in.
        expected: The sound, in IPA.
        heard: What was said instead; None if it is no sound that can be named.
        accuracy: The word's score, 0 to 100.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str
    expected: str
    heard: str | None
    accuracy: float


def find(assessment: Assessment, plan: Plan, sounds: Collection[str]) -> Finding | None:
    """Return the worst sound, if one is clearly wrong and can be named.

    Args:
        assessment: How the sentence was said.
        plan: Names sounds.
        sounds: Those corrected so far; once there are two, there is no third.
    """
    wrong = [
        (phoneme.accuracy, word, phoneme)
        for word in assessment.words
        for phoneme in word.phonemes
        if phoneme.accuracy < CLEARLY_WRONG and _may_be_told(phoneme, plan, sounds)
    ]
    if not wrong:
        return None
    _, word, phoneme = min(wrong, key=lambda one: one[0])
    return _finding(word, phoneme, plan)


def has_risen(before: Finding, assessment: Assessment) -> bool:
    """Return whether the word of a finding is better now."""
    now = [word.accuracy for word in assessment.words if word.word == before.word]
    return any(accuracy is not None and accuracy > before.accuracy + RISE for accuracy in now)


def describe(finding: Finding, plan: Plan) -> str:
    """Return the sentence about a finding."""
    lines, word = plan.lines, finding.word
    if finding.heard and _LONG_AND_SHORT.get(finding.heard) == finding.expected:
        return lines.too_long.format(word=word)
    if finding.heard and _LONG_AND_SHORT.get(finding.expected) == finding.heard:
        return lines.too_short.format(word=word)
    expected = plan.sounds[finding.expected]
    if finding.heard is None:
        return lines.unclear.format(word=word, expected=expected)
    return lines.replaced.format(word=word, expected=expected, heard=plan.sounds[finding.heard])


def _may_be_told(phoneme: Phoneme, plan: Plan, sounds: Collection[str]) -> bool:
    known = phoneme.phoneme in plan.sounds
    return known and (len(sounds) < MOST_SOUNDS or phoneme.phoneme in sounds)


def _finding(word: Word, phoneme: Phoneme, plan: Plan) -> Finding:
    heard = phoneme.heard if phoneme.heard in plan.sounds else None
    return Finding(
        word=word.word, expected=phoneme.phoneme, heard=heard, accuracy=word.accuracy or 0.0
    )

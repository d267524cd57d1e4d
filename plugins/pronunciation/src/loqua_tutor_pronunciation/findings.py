"""The choice of the one sound of an attempt to comment on."""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

from loqua_host import AssessedSound, AssessedWord, Assessment

from .exercises import SpokenLanguage

__all__ = [
    "SoundFinding",
    "clearly_wrong",
    "describe",
    "find",
    "has_risen",
    "may_correct",
    "well_said",
]

CLEARLY_WRONG = 50.0
"""A sound's score below it is told. The server's own limit for a mispronunciation is higher: of
the sounds just below that one, experts find every second fine."""

SURELY_REPLACED = 0.9
"""How likely another sound must have been to be told; one in a fluent sentence hardly lowers the
score. With both limits, 1.4 % of the sentences that experts give 8 or more of 10 are corrected."""

PERHAPS_REPLACED = 0.1
"""The same in a word that was not recognised, so that something is wrong with it anyway."""

WELL_SAID = 80.0
"""A word's score from which on it may be right although the recogniser took it for another one."""

_FEWEST_SOUNDS = 2
"""Of a word that can be well said: one sound alone, an "a", is found where nobody said it."""

MOST_SOUNDS = 2
"""Sounds that a lesson is about; more are more than a learner can mind."""

RISE = 15.0
"""Points by which a sound has audibly risen; smaller differences are the scorer's noise."""

FALL = 3.0
"""Factor by which another sound must have become less likely. Of 27 sounds that were told, none
differs as much if the same recording is scored again as a room would transmit it."""

_LONG_AND_SHORT = {"i": "ɪ", "u": "ʊ"}  # noqa: RUF001 IPA


class SoundFinding(BaseModel):
    """A sound that was wrong.

    Attributes:
        word: The word that it is in.
        expected: The sound, in IPA.
        heard: What was said instead; None if it is no sound that can be named.
        accuracy: The sound's score, 0 to 100.
        substitution: How likely another sound was said, from 0 to 1.
        is_sure: Whether the sound alone says so; otherwise it is the likeliest wrong one of a word
            that was not recognised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str
    expected: str
    heard: str | None
    accuracy: float
    substitution: float = 0.0
    is_sure: bool = True


def find(
    assessment: Assessment,
    language: SpokenLanguage,
    sounds: Collection[str],
    missed: Collection[str] = (),
) -> SoundFinding | None:
    """Return the sound that was most likely replaced, if one is wrong and can be named.

    Args:
        assessment: How the sentence was said.
        language: Names sounds.
        sounds: Those that the lesson is about so far; once there are two, there is no third.
        missed: Words that were not recognised; if there are any, the sound is in one of them.
    """
    unrecognised = {word.casefold() for word in missed}
    wrong = [
        (word, phoneme)
        for word in assessment.words
        if not unrecognised or word.word.casefold() in unrecognised
        for phoneme in word.phonemes
        if phoneme.phoneme in language.sounds
        and may_correct(phoneme.phoneme, sounds)
        and (_is_clear(phoneme) or (unrecognised and phoneme.substitution > PERHAPS_REPLACED))
    ]
    if not wrong:
        return None
    word, phoneme = max(wrong, key=lambda one: (one[1].substitution, -one[1].accuracy))
    return _finding(word, phoneme, language)


def clearly_wrong(assessment: Assessment, language: SpokenLanguage) -> tuple[str, ...]:
    """Return the sounds of a language that were surely wrong, whether they are told or not."""
    return tuple(
        phoneme.phoneme
        for word in assessment.words
        for phoneme in word.phonemes
        if phoneme.phoneme in language.sounds and _is_clear(phoneme)
    )


def well_said(assessment: Assessment) -> frozenset[str]:
    """Return the words, in lower case, that were said well wherever the text has them.

    The scorer knows the text, the recogniser does not: of 43 words of learners that it took for
    others, the 12 that are well said have 8 or more of 10 from experts.
    """
    words = [word for word in assessment.words if word.error != "Insertion"]
    doubtful = {word.word.casefold() for word in words if not _is_well_said(word)}
    return frozenset(word.word.casefold() for word in words) - doubtful


def has_risen(before: SoundFinding, assessment: Assessment) -> bool:
    """Return whether the sound of a finding is better now; the worst counts of several in a word.

    The score of the word says little: one changed sound hardly lowers it.
    """
    now = [
        it
        for word in assessment.words
        if word.word == before.word
        for it in word.phonemes
        if it.phoneme == before.expected
    ]
    if not now:
        return False
    is_clearer = max(it.substitution for it in now) * FALL < before.substitution
    return is_clearer or min(it.accuracy for it in now) > before.accuracy + RISE


def may_correct(sound: str, sounds: Collection[str]) -> bool:
    """Return whether a lesson about some sounds may correct another one."""
    return len(sounds) < MOST_SOUNDS or sound in sounds


def describe(finding: SoundFinding, language: SpokenLanguage) -> str:
    """Return the sentence about a finding."""
    lines, word = language.lines, finding.word
    if finding.heard and _LONG_AND_SHORT.get(finding.heard) == finding.expected:
        return lines.too_long.format(word=word)
    if finding.heard and _LONG_AND_SHORT.get(finding.expected) == finding.heard:
        return lines.too_short.format(word=word)
    expected = language.sounds[finding.expected]
    if finding.heard is None:
        return lines.unclear.format(word=word, expected=expected)
    return lines.replaced.format(word=word, expected=expected, heard=language.sounds[finding.heard])


def _is_well_said(word: AssessedWord) -> bool:
    if word.accuracy is None or len(word.phonemes) < _FEWEST_SOUNDS:
        return False
    is_doubtful = any(it.substitution > PERHAPS_REPLACED or _is_clear(it) for it in word.phonemes)
    return word.accuracy >= WELL_SAID and not is_doubtful


def _is_clear(phoneme: AssessedSound) -> bool:
    return phoneme.accuracy < CLEARLY_WRONG or phoneme.substitution > SURELY_REPLACED


def _finding(word: AssessedWord, phoneme: AssessedSound, language: SpokenLanguage) -> SoundFinding:
    is_sure = _is_clear(phoneme)
    heard = phoneme.heard if is_sure and phoneme.heard in language.sounds else None
    return SoundFinding(
        word=word.word,
        expected=phoneme.phoneme,
        heard=heard,
        accuracy=phoneme.accuracy,
        substitution=phoneme.substitution,
        is_sure=is_sure,
    )

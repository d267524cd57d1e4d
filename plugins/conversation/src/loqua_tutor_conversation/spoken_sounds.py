"""Reliable findings about the learner's pronunciation in free speech; pure.

There is no text that the learner was to say: the words are the recogniser's, which may not be what
was said, so only those that it is sure of count. A sound is weak when it returns as clearly wrong.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, Field

from loqua_host import AssessedWord, Assessment, RecognizedWord

from .plain import tokens
from .toml_data import FROZEN

__all__ = [
    "NO_SOUNDS",
    "ScoredUtterance",
    "SpokenSounds",
    "WeakSound",
    "has_sure_words",
    "mean_score",
    "note_sounds",
    "recurring_sound",
]

SURE_WORD = 0.9
"""The recogniser's confidence of a word from which on it counts: 95 % of those were really said
(loqua-speech's model card)."""

FEWEST_WORDS = 3
"""Words that count which an utterance must have: one alone says little of how somebody speaks."""

ROBUST = 0.5
"""How well the words must fit the sound, times the recogniser's confidence."""

CLEARLY_WRONG = 40.0
"""A sound's score below it is wrong; of the sounds just above, experts find every second fine."""

RETURNS = 3
"""Utterances in which a sound must be wrong."""

SHARE = 0.3
"""Share of the utterances with a sound in which it must be wrong: who says one wrong now and then
slips, and the scorer errs."""

FEWEST_UTTERANCES = 5
"""Utterances that a lesson's score needs."""

MOST_KEPT = 40
"""Utterances and weak sounds that are kept, the latest: a lesson's state is limited in size."""


class ScoredUtterance(BaseModel):
    """An utterance with a score from 0 to 100, and its number."""

    model_config = FROZEN

    utterance: int
    score: float


class WeakSound(BaseModel):
    """A sound, in IPA, that was clearly wrong in a word, and the number of the utterance."""

    model_config = FROZEN

    sound: str
    word: str
    utterance: int


class SpokenSounds(BaseModel):
    """The reliable findings about a learner's pronunciation.

    Attributes:
        scores: The utterances that count.
        weak: The sounds that were clearly wrong in them.
        heard: In how many of them each sound was.
    """

    model_config = FROZEN

    scores: tuple[ScoredUtterance, ...] = Field(default=(), max_length=MOST_KEPT)
    weak: tuple[WeakSound, ...] = Field(default=(), max_length=MOST_KEPT)
    heard: dict[str, int] = {}


NO_SOUNDS = SpokenSounds()
"""Before anything was scored."""


def has_sure_words(words: Iterable[RecognizedWord]) -> bool:
    """Return whether an utterance has words enough that the recogniser is sure of."""
    return sum(_is_sure(word) for word in words) >= FEWEST_WORDS


def note_sounds(
    sounds: SpokenSounds,
    utterance: int,
    words: Sequence[RecognizedWord],
    confidence: float,
    assessment: Assessment,
) -> SpokenSounds:
    """Return what is certain with one more utterance; the same if nothing is.

    Args:
        sounds: What was certain before.
        utterance: The utterance's number.
        words: The recogniser's words.
        confidence: The recogniser's, of the utterance.
        assessment: How these words were said.
    """
    sure = tuple(_sure_words(words, assessment))
    is_robust = confidence * assessment.confidence >= ROBUST and len(sure) >= FEWEST_WORDS
    if not is_robust or any(it.utterance == utterance for it in sounds.scores):
        return sounds
    scored = ScoredUtterance(utterance=utterance, score=assessment.total)
    wrong = {
        it.phoneme: WeakSound(sound=it.phoneme, word=word.word.casefold(), utterance=utterance)
        for word in sure
        for it in word.phonemes
        if it.accuracy < CLEARLY_WRONG
    }
    heard = Counter(sounds.heard) + Counter({it.phoneme for word in sure for it in word.phonemes})
    return SpokenSounds(
        scores=(*sounds.scores, scored)[-MOST_KEPT:],
        weak=(*sounds.weak, *wrong.values())[-MOST_KEPT:],
        heard=dict(heard),
    )


def recurring_sound(sounds: SpokenSounds) -> str | None:
    """Return the sound that is wrong in most utterances, if it returns; else None."""
    for sound, times in Counter(it.sound for it in sounds.weak).most_common():
        if times >= RETURNS and times >= SHARE * sounds.heard.get(sound, 0):
            return sound
    return None


def mean_score(sounds: SpokenSounds) -> float | None:
    """Return the mean score of the utterances, from 0 to 100; None of fewer than are needed."""
    if len(sounds.scores) < FEWEST_UTTERANCES:
        return None
    return round(sum(it.score for it in sounds.scores) / len(sounds.scores), 1)


def _sure_words(words: Sequence[RecognizedWord], assessment: Assessment) -> Iterator[AssessedWord]:
    """Yield the words that the recogniser is sure of; none if the two do not have the same."""
    heard = [(part, word) for word in words for part in _parts(word.text)]
    said = [word for word in assessment.words if word.error != "Insertion"]
    if [part for part, _ in heard] == ["".join(_parts(word.word)) for word in said]:
        yield from (
            word
            for (_, recognised), word in zip(heard, said, strict=True)
            if _is_sure(recognised) and word.accuracy is not None
        )


def _parts(text: str) -> list[str]:
    """Return the words in a text as they are compared: "twenty-one" is two, "don't" is one."""
    parts = ("".join(tokens(part)) for part in text.casefold().replace("-", " ").split())
    return [part for part in parts if part]


def _is_sure(word: RecognizedWord) -> bool:
    return word.confidence is not None and word.confidence >= SURE_WORD

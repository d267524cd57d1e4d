"""The difficulty of a learner's sentences."""

from typing import Literal, get_args

from loqua_host import LearningProgress

__all__ = ["Level", "distance", "estimate_level"]

Level = Literal["A1", "A2", "B1", "B2"]

_LEVELS: tuple[Level, ...] = get_args(Level)
_NEW_WORDS: tuple[tuple[Level, int], ...] = (("A1", 0), ("A2", 250), ("B1", 750), ("B2", 1500))
"""Words learned with Loqua from which a level is assumed, as in conversations: the API has none."""


def estimate_level(progress: LearningProgress) -> Level:
    """Return the level that the number of words learned suggests."""
    return [level for level, words in _NEW_WORDS if progress.words_learned >= words][-1]


def distance(level: Level, other: Level) -> int:
    """Return how many levels lie between two."""
    return abs(_LEVELS.index(level) - _LEVELS.index(other))

"""Agreement: gender, number and person of words, from EAGLES tags."""

from collections.abc import Iterable

from .lexicon import Lexicon, Reading

__all__ = ["agree", "features", "inflect"]

_POSITIONS = {
    "N": {"gender": 2, "number": 3},
    "A": {"gender": 3, "number": 4},
    "D": {"gender": 3, "number": 4},
    "P": {"person": 2, "gender": 3, "number": 4},
    "V": {"person": 4, "number": 5, "gender": 6},
}
_ANY = {"gender": "0C", "number": "0N", "person": "0"}
_SAME = {"N": 1, "A": 1, "D": 2, "P": 2, "V": 4}
"""How many letters of a tag two forms of one word share: class, for verbs mood and tense too."""


def features(tag: str) -> dict[str, str]:
    """Return what a tag says about `gender`, `number` and `person`; a noun is a third person."""
    positions = _POSITIONS.get(tag[:1], {})
    found = {
        name: tag[at]
        for name, at in positions.items()
        if at < len(tag) and tag[at] not in _ANY[name]
    }
    return found | {"person": "3"} if tag.startswith("N") else found


def agree(some: Iterable[Reading], others: Iterable[Reading]) -> bool:
    """Return whether any reading of one word agrees with any of the other."""
    wanted = [features(other.tag) for other in others]
    return any(_compatible(features(one.tag), other) for one in some for other in wanted)


def _compatible(one: dict[str, str], other: dict[str, str]) -> bool:
    return all(other.get(name, value) == value for name, value in one.items())


def inflect(lexicon: Lexicon, reading: Reading, wanted: dict[str, str]) -> str | None:
    """Return the form of the same word with these features, None where the lexicon has none.

    Of several, it is the one whose tag is most like the reading's.
    """
    same = reading.tag[: _SAME.get(reading.tag[:1], len(reading.tag))]
    goal = {name: wanted[name] for name in features(reading.tag) if name in wanted}
    goal = features(reading.tag) | goal
    fitting = [
        (sum(a == b for a, b in zip(tag, reading.tag, strict=False)), form)
        for form, tag in lexicon.forms.get(reading.lemma, ())
        if tag.startswith(same) and _compatible(features(tag), goal)
    ]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None

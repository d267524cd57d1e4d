"""English words: forms of verbs and nouns."""

import tomllib
from importlib.resources import files
from typing import Any

__all__ = ["COMPARATIVES", "DOUBLE_PLURALS", "FORMS", "GERUND", "PAST", "PLURALS", "THIRD"]

_WORDS: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("lexicon", "en.toml").read_text("utf-8")
)
_FORMS = {base: tuple(forms.split()) for base, forms in _WORDS["verbs"].items()}

THIRD = {base: third for base, (third, _, _) in _FORMS.items()}
"""Third persons (`goes`) by base form."""

PAST = {base: past for base, (_, past, _) in _FORMS.items()}
"""Past forms by base form."""

GERUND = {base: gerund for base, (_, _, gerund) in _FORMS.items()}
"""Forms in -ing by base form."""

FORMS = {form: base for base, (third, past, _) in _FORMS.items() for form in (third, past)}
"""Base forms by third person and past form."""

PLURALS: dict[str, str] = _WORDS["nouns"]
"""Plurals by singular."""

DOUBLE_PLURALS: dict[str, str] = _WORDS["double_plurals"]
"""Right words by plurals that there are not."""

COMPARATIVES: tuple[str, ...] = tuple(_WORDS["comparatives"]["forms"].split())

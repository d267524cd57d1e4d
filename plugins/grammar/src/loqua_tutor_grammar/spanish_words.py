"""Spanish words: gender and number of nouns and adjectives, persons of verbs."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = [
    "ADJECTIVES",
    "ALSO_VERBS",
    "ATTRIBUTES",
    "DETERMINERS",
    "FINITE",
    "GERUNDS",
    "INVENTED",
    "NOUNS",
    "PEOPLE",
    "PLACES",
    "PRESENT",
    "TIMES",
    "Agreement",
    "plural",
]

_WORDS: dict[str, Any] = tomllib.loads(
    files(__package__).joinpath("lexicon", "es.toml").read_text("utf-8")
)
_VERBS = _WORDS["verbs"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Gender (`m`, `f`) and number (`s`, `p`); `el` says that it takes *el* all the same."""

    gender: str
    number: str
    el: bool = False

    @property
    def index(self) -> int:
        """The place among the four forms: el, la, los, las."""
        return 2 * (self.number == "p") + (self.gender == "f")


def plural(noun: str) -> str:
    """The plural of a Spanish noun or adjective."""
    if noun in _WORDS["plurals"]:
        return str(_WORDS["plurals"][noun])
    if noun.endswith("z"):
        return f"{noun[:-1]}ces"
    if noun.endswith("ión"):
        return f"{noun[:-3]}iones"
    if noun.endswith(("és", "án", "ón", "ín", "ús")):
        return noun[:-2] + noun[-2:].translate(str.maketrans("éáóíú", "eaoiu")) + "es"
    if noun.endswith("s"):
        return noun
    return noun + ("s" if noun[-1] in "aeiouáéóú" else "es")


def _nouns() -> dict[str, Agreement]:
    stressed = _WORDS["stressed_a"].split()
    known: dict[str, Agreement] = {}
    for gender in ("masculine", "feminine"):
        # lunes, cumpleaños: one form for both numbers, so no rule can tell which is meant
        for noun in (noun for noun in _WORDS[gender].split() if plural(noun) != noun):
            known[plural(noun)] = Agreement(gender[0], "p")
            known[noun] = Agreement(gender[0], "s", el=noun in stressed)
    return known


def _four_forms(masculine: str) -> tuple[str, str, str, str]:
    feminine = f"{masculine[:-1]}a" if masculine.endswith("o") else f"{masculine}a"
    feminine = feminine.replace("ésa", "esa")
    return masculine, feminine, plural(masculine), plural(feminine)


def _adjectives() -> dict[str, tuple[tuple[str, str, str, str], int]]:
    return {
        form: (forms, index)
        for forms in map(_four_forms, _WORDS["adjectives"].split())
        for index, form in enumerate(forms)
    }


_ENDINGS = {
    "ar": ("o as a amos áis an", "é aste ó amos asteis aron", "ando"),
    "er": ("o es e emos éis en", "í iste ió imos isteis ieron", "iendo"),
    "ir": ("o es e imos ís en", "í iste ió imos isteis ieron", "iendo"),
}


def _conjugation(tense: str) -> dict[str, tuple[str, ...]]:
    """The six forms of each verb."""
    at = ("present", "preterite").index(tense)
    regular = {
        verb: tuple(verb[:-2] + ending for ending in _ENDINGS[verb[-2:]][at].split())
        for verb in _VERBS["regular"].split()
    }
    return regular | {verb: tuple(forms.split()) for verb, forms in _VERBS[tense].items()}


def _finite() -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """For each form, the paradigms it occurs in and the person it is."""
    found: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for tense in ("present", "preterite"):
        for forms in _conjugation(tense).values():
            for person, form in enumerate(forms):
                found.setdefault(form, []).append((forms, person))
    return found


NOUNS = _nouns()
"""Gender and number of each noun form."""

ADJECTIVES = _adjectives()
"""For each adjective form, its four forms and which of them it is."""

ATTRIBUTES = {
    form: found
    for form, found in ADJECTIVES.items()
    if found[0][0] not in _WORDS["of_state"].split()
}
"""The adjectives that belong to the noun they follow."""

ALSO_VERBS = frozenset(_WORDS["also_verbs"].split())
"""Nouns that are forms of verbs too."""

DETERMINERS = {
    form: forms
    for forms in (
        ("el", "la", "los", "las"),
        ("un", "una", "unos", "unas"),
        ("este", "esta", "estos", "estas"),
        ("ese", "esa", "esos", "esas"),
        ("mucho", "mucha", "muchos", "muchas"),
        ("poco", "poca", "pocos", "pocas"),
        ("otro", "otra", "otros", "otras"),
        ("nuestro", "nuestra", "nuestros", "nuestras"),
    )
    for form in forms
}
"""For each determiner, its four forms."""

PRESENT = _conjugation("present")
"""The six forms of the present by infinitive."""

FINITE = _finite()

GERUNDS = {verb[:-2] + _ENDINGS[verb[-2:]][2]: verb for verb in _VERBS["regular"].split()} | {
    "haciendo": "hacer",
    "jugando": "jugar",
    "pensando": "pensar",
    "leyendo": "leer",
}
"""Infinitives by gerund."""

INVENTED: dict[str, str] = _VERBS["invented"]
"""Right forms by those that learners make regular."""

PLACES: dict[str, str] = {
    noun: article
    for article, gender in (("la", "feminine"), ("el", "masculine"))
    for noun in _WORDS["places"][gender].split()
}
"""Articles of the places one goes to."""

PEOPLE = tuple(_WORDS["people"]["all"].split())

TIMES = frozenset(_WORDS["times"].split())

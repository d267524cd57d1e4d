"""Rules for Spanish: few mistakes, each found with near certainty."""

import re

from .correction import Rule, any_of
from .spanish_words import (
    ADJECTIVES,
    ALSO_VERBS,
    ATTRIBUTES,
    DETERMINERS,
    FINITE,
    GERUNDS,
    INVENTED,
    NOUNS,
    PEOPLE,
    PLACES,
    PRESENT,
    TIMES,
    Agreement,
)

__all__ = ["RULES"]

# Long lists of words are looked up after the match: as patterns they are slow to compile.
_NOUN = r"(?P<noun>\w+)"
_DETERMINER = any_of(DETERMINERS)
_THE = any_of(("el", "la", "los", "las", "mi", "mis", "tu", "tus", "su", "sus"))
_NO_CLITIC = r"(?<!\bme )(?<!\bte )(?<!\bse )(?<!\bno )(?<!\byo )"
_PERSONS = {
    "yo": 0, "tú": 1, "él": 2, "ella": 2, "usted": 2,
    "nosotros": 3, "nosotras": 3, "ellos": 5, "ellas": 5, "ustedes": 5,
}  # fmt: skip
# After these the pronoun is no subject, or not the only one: "tú y yo", "para ella", "que yo".
_NOT_SUBJECT = "".join(
    rf"(?<!\b{word} )" for word in (
        "y", "e", "o", "ni", "que", "como", "de", "con", "a", "para", "por", "entre", "sin",
        "según", "sobre", "en", "al", "menos", "excepto",
    )
)  # fmt: skip
_BETWEEN = r"(?:(?:no|también|siempre|nunca|ya|me|te|se|nos|lo|la|le|les|los|las) ){0,2}"


def _determiner(match: re.Match[str]) -> str | None:
    noun, wrong = NOUNS.get(match["noun"]), match["wrong"]
    if noun is None or (match["noun"] in ALSO_VERBS and wrong in ("la", "los", "las")):
        return None
    if noun.el and wrong in ("el", "un", "la"):
        return "un" if wrong == "un" else "el"
    return DETERMINERS[wrong][noun.index]


def _possessive(match: re.Match[str]) -> str | None:
    noun = NOUNS.get(match["noun"])
    return match["wrong"][:2] + "s" * (noun.number == "p") if noun else None


def _contracted(match: re.Match[str]) -> str | None:
    contracted = {"a": "al", "de": "del"}[match["preposition"]]
    return contracted if match["noun"] in NOUNS else None


def _gusta(match: re.Match[str]) -> str | None:
    """The singular before one thing or an activity."""
    noun = match["noun"] and NOUNS.get(match["noun"])
    return match["wrong"][:-1] if match["activity"] or (noun and noun.number == "s") else None


def _gusta_article(match: re.Match[str]) -> str | None:
    noun = NOUNS.get(match["noun"])
    if noun is None:
        return None
    article = "el" if noun.el else ("el", "la", "los", "las")[noun.index]
    verb = match["verb"].removesuffix("n") + ("n" if noun.number == "p" else "")
    return f"{verb} {article} {match['noun']}"


def _person(match: re.Match[str]) -> str | None:
    """The form of the same verb and tense for the pronoun; None where the form may be right."""
    person, readings = _PERSONS[match["pronoun"]], FINITE.get(match["wrong"], [])
    if not readings or any(reading == person for _, reading in readings):
        return None
    return readings[0][0][person]


def _subject_number(match: re.Match[str]) -> str | None:
    noun, readings = NOUNS.get(match["noun"]), FINITE.get(match["wrong"], [])
    if noun is None or not readings or match["noun"] in TIMES:
        return None
    forms, person = readings[0]
    return forms[5 if noun.number == "p" else 2] if person in (2, 5) else None


def _conjugated(match: re.Match[str]) -> str | None:
    forms = PRESENT.get(match["wrong"])
    return forms[_PERSONS[match["pronoun"]]] if forms else None


def _agreeing(match: re.Match[str]) -> str | None:
    noun, adjective = NOUNS.get(match["noun"]), ADJECTIVES.get(match["wrong"])
    return adjective[0][noun.index] if noun and adjective else None


def _attribute(match: re.Match[str]) -> str | None:
    return _agreeing(match) if match["wrong"] in ATTRIBUTES else None


def _agreeing_with_pronoun(match: re.Match[str]) -> str | None:
    pronoun, adjective = match["pronoun"], ADJECTIVES.get(match["wrong"])
    number = "p" if pronoun.endswith("s") else "s"
    gender = "f" if pronoun.startswith("ella") or pronoun.endswith("as") else "m"
    return adjective[0][Agreement(gender, number).index] if adjective else None


def _place(match: re.Match[str]) -> str | None:
    article = PLACES[match["place"]]
    return f"al {match['place']}" if article == "el" else f"a la {match['place']}"


def _much(match: re.Match[str]) -> str | None:
    noun = match["noun"]
    feminine = noun in ("hambre", "sed", "prisa", "razón", "suerte")
    return f"{'mucha' if feminine else 'mucho'} {noun}"


_TENER = {"soy": "tengo", "eres": "tienes", "es": "tiene", "somos": "tenemos", "son": "tienen",
          "estoy": "tengo", "estás": "tienes", "está": "tiene", "estamos": "tenemos",
          "están": "tienen"}  # fmt: skip
_LIKE = r"(?:me|te|le|nos|os|les) "
_FEELINGS = any_of(("hambre", "sed", "sueño", "miedo", "prisa", "frío", "calor"))

RULES = (
    Rule(
        "es.yo_me_gusta", "verbs", "gustar", "gustar",
        re.compile(r"\b(?P<wrong>yo (?:me )?gusto?a?n?)\b(?= (?:el|la|los|las|mucho|\w+r)\b)"),
        lambda _: "me gusta",
    ),
    Rule(
        "es.gustar_person", "verbs", "gustar", "gustar_person",
        re.compile(
            r"(?:^|[.,;] ?|\b(?:porque|pero) )(?P<wrong>él|ella|usted|ellos|ellas|ustedes|nosotros)"
            r"(?= (?:no )?(?:les?|nos) (?:gust|encant|interes)an?\b)"
        ),
        lambda match: f"a {match['wrong']}",
    ),
    Rule(
        "es.gustar_plural", "verbs", "gustar", "gustar",
        re.compile(
            rf"\b{_LIKE}(?:no )?(?P<wrong>gusta|encanta|interesa|duele)"
            rf" (?:mucho )?(?:los|las|mis|tus|sus|estos|estas) "
            rf"(?!{any_of(TIMES)}\b)(?!fines\b)\w+s\b"
        ),
        lambda match: f"{match['wrong']}n",
    ),
    Rule(
        "es.gustar_singular", "verbs", "gustar", "gustar",
        re.compile(
            rf"\b{_LIKE}(?P<wrong>gustan|encantan|interesan|duelen)"
            rf" (?:mucho )?(?:(?:el|la|mi|tu) {_NOUN}|(?P<activity>\w{{2,}}[aei]r))\b"
            r"(?! (?:y|e|,))"
        ),
        _gusta,
    ),
    Rule(
        "es.gustar_article", "articles", "gustar", "gustar",
        re.compile(rf"\b{_LIKE}(?P<wrong>(?P<verb>gustan?|encantan?) {_NOUN})\b"),
        _gusta_article,
    ),
    Rule(
        "es.un_otro", "articles", "articles", "other",
        re.compile(r"\b(?P<wrong>un(?:a|os|as)? (?P<other>otr(?:o|a|os|as)))\b"),
        lambda match: match["other"],
    ),
    Rule(
        "es.determiner", "agreement", "noun_adjective_agreement", "determiner",
        re.compile(rf"{_NO_CLITIC}\b(?P<wrong>{_DETERMINER})(?= {_NOUN})"),
        _determiner,
    ),
    Rule(
        "es.possessive", "agreement", "noun_adjective_agreement", "determiner",
        re.compile(rf"\b(?P<wrong>mis?|tus?|sus?)(?= {_NOUN})"),
        _possessive,
    ),
    Rule(
        "es.y_e", "conjunctions", "conjunctions", "conjunction",
        re.compile(r"(?<=\w )(?P<wrong>y)(?= h?i(?![aeoáéó])\w+)"),
        lambda _: "e",
    ),
    Rule(
        "es.o_u", "conjunctions", "conjunctions", "conjunction",
        re.compile(r"(?<=\w )(?P<wrong>o)(?= h?[oó]\w+)"),
        lambda _: "u",
    ),
    Rule(
        "es.contraction", "articles", "articles", "contraction",
        re.compile(rf"\b(?P<wrong>(?P<preposition>a|de) el)(?= {_NOUN})"),
        _contracted,
    ),
    Rule(
        "es.bare_place", "articles", "articles", "place",
        re.compile(
            r"\b(?:voy|vas|va|vamos|van|fui|fuiste|fue|fuimos|fueron|ir) "
            rf"(?P<wrong>a (?P<place>{any_of(PLACES)}))\b"
        ),
        _place,
    ),
    Rule(
        "es.personal_a", "prepositions", "personal_a", "personal_a",
        re.compile(
            r"\b(?:veo|conozco|visito|ayudo|visité|conocí|extraño) "
            rf"(?P<wrong>(?:mi|mis|tu|tus|su|sus) {any_of(PEOPLE)})\b"
        ),
        lambda match: f"a {match['wrong']}",
    ),
    Rule(
        "es.tener_age", "verbs", "ser_estar", "tener",
        re.compile(r"\b(?P<wrong>soy|eres|es|somos|son)(?= (?:\d+|veinte|treinta) años$)"),
        lambda match: _TENER[match["wrong"]],
    ),
    Rule(
        "es.tener_feeling", "verbs", "ser_estar", "tener",
        re.compile(
            rf"\b(?P<wrong>soy|eres|estoy|estás|estamos)(?= (?:muy |mucha? )?{_FEELINGS}\b)"
        ),
        lambda match: _TENER[match["wrong"]],
    ),
    Rule(
        "es.muy_noun", "agreement", "noun_adjective_agreement", "mucho",
        re.compile(
            r"\b(?:tengo|tienes|tiene|tenemos|tienen) "
            r"(?P<wrong>muy (?P<noun>hambre|sed|sueño|miedo|prisa|frío|calor|razón|suerte))\b"
        ),
        _much,
    ),
    Rule(
        "es.invented", "verbs", "present_tense", "invented",
        re.compile(rf"\b(?P<wrong>{any_of(INVENTED)})\b"),
        lambda match: INVENTED[match["wrong"]],
    ),
    Rule(
        "es.pronoun_infinitive", "verbs", "infinitive", "infinitive",
        re.compile(
            rf"{_NOT_SUBJECT}\b(?P<pronoun>{any_of(_PERSONS)}) {_BETWEEN}"
            r"(?P<wrong>\w+)"
        ),
        _conjugated,
    ),
    Rule(
        "es.pronoun_verb", "agreement", "subject_verb_agreement", "agreement",
        re.compile(
            rf"{_NOT_SUBJECT}\b(?P<pronoun>{any_of(_PERSONS)}) {_BETWEEN}"
            r"(?!(?:nada|como)\b)(?P<wrong>\w+)"
        ),
        _person,
    ),
    Rule(
        "es.noun_verb", "agreement", "subject_verb_agreement", "agreement",
        re.compile(
            rf"^{_THE} {_NOUN} (?:no |también |siempre )?(?P<wrong>\w+)"
        ),
        _subject_number,
    ),
    Rule(
        "es.copula", "agreement", "noun_adjective_agreement", "adjective",
        re.compile(
            rf"(?:^|[.,;¿¡] ?|\b(?:que|porque|pero|y) )(?:{_THE}|{_DETERMINER})(?= {_NOUN} "
            r"(?:no )?(?:es|son|está|están|era|eran) (?:muy |tan |bastante |un poco )?"
            r"(?P<wrong>\w+)\b(?! \w+o\b))"
        ),
        _agreeing,
    ),
    Rule(
        "es.copula_pronoun", "agreement", "noun_adjective_agreement", "adjective",
        re.compile(
            rf"{_NOT_SUBJECT}\b(?P<pronoun>él|ella|ellos|ellas|nosotras) (?:no )?"
            r"(?:es|son|está|están|somos|estamos) (?:muy |tan |bastante |un poco )?"
            r"(?P<wrong>\w+)"
        ),
        _agreeing_with_pronoun,
    ),
    Rule(
        "es.noun_adjective", "agreement", "noun_adjective_agreement", "adjective",
        re.compile(
            rf"\b(?:{_THE}|{_DETERMINER})(?= {_NOUN} (?:muy )?(?P<wrong>\w+))"
        ),
        _attribute,
    ),
    Rule(
        "es.preposition_gerund", "verbs", "infinitive", "gerund",
        re.compile(
            rf"\b(?:antes de|después de|para|sin|de) (?P<wrong>{any_of(GERUNDS)})\b"
        ),
        lambda match: GERUNDS[match["wrong"]],
    ),
)  # fmt: skip
"""The rules in the order of their right of way."""

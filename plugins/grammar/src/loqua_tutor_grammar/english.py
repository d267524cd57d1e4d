"""Rules for English: few mistakes, each found with near certainty."""

import re

from .correction import Rule, any_of
from .english_words import COMPARATIVES, DOUBLE_PLURALS, FORMS, GERUND, PAST, PLURALS, THIRD

__all__ = ["RULES"]

_BASE = any_of(THIRD)
_INFLECTED = any_of(FORMS)
_OFTEN = r"(?:(?:often|always|never|usually|sometimes|also|really) )?"
# After these a pronoun is no subject of a finite verb ("does she go", "let it go"), or it is
# not the only one ("he and she have").
_NOT_SUBJECT = "".join(
    rf"(?<!\b{word} )" for word in (
        "do", "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might",
        "must", "let", "make", "makes", "made", "help", "see", "saw", "hear", "heard", "watch",
        "watched", "and", "or", "that", "if", "didn't", "doesn't", "don't", "won't", "can't",
        "couldn't", "wouldn't", "shouldn't", "have", "had", "suggest", "like",
    )
)  # fmt: skip
_NUMBER = any_of(
    ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "many", "several",
     "these", "those")
)  # fmt: skip
_AFTER_NOUN = r"(?=$|[.,!?]| (?:in|on|and|at|to|for|with|of|ago|is|are|but|or|who|that)\b)"
_SINGULAR_SUBJECT = (
    r"^(?:my|his|her|your|our|the) (?:sister|brother|mother|father|friend|teacher|son|daughter)"
)
_MODAL = any_of(("can", "could", "must", "should", "would", "will", "cannot"))
_BE = {"i": "am", "you": "are", "we": "are", "they": "are", "he": "is", "she": "is", "it": "is"}
_VOWEL = r"(?!uni|use|usu|eu|one\b|once|ut|ub|ur(?!g))[aeiou]\w+"
_CONSONANT = r"(?!hour|honest|hono|heir|h\b)[bcdfghjklmnpqrstvwyz]\w{2,}"

RULES = (
    Rule(
        "en.agree", "verbs", "present_tense", "agree",
        re.compile(r"\b(?:i|you|we|they) (?P<wrong>(?:am|are) agree)\b"),
        lambda _: "agree",
    ),
    Rule(
        "en.age", "verbs", "present_tense", "age",
        re.compile(
            r"\b(?P<pronoun>i|you|we|they|he|she) (?P<wrong>ha(?:ve|s) (?P<age>\d+) years(?: old)?)"
            r"(?=$|[.!?])"
        ),
        lambda match: f"{_BE[match['pronoun']]} {match['age']} years old",
    ),
    Rule(
        "en.continuous", "verbs", "present_continuous", "continuous",
        re.compile(
            r"\b(?:i am|i'm|he is|he's|she is|she's|we are|they are|you are) "
            r"(?P<wrong>study|learn|go|eat|read|speak|write|watch|live|sing|swim|cook|teach)\b"
        ),
        lambda match: GERUND.get(match["wrong"], f"{match['wrong']}ing"),
    ),
    Rule(
        "en.dont", "agreement", "subject_verb_agreement", "agreement",
        re.compile(rf"{_NOT_SUBJECT}\b(?:he|she|it) (?P<wrong>don't|do not)\b"),
        lambda match: "does not" if match["wrong"] == "do not" else "doesn't",
    ),
    Rule(
        "en.yesterday", "verbs", "past_tense", "past",
        re.compile(rf"^yesterday,? (?:i|we|he|she|they|you) {_OFTEN}(?P<wrong>{_BASE})\b"),
        lambda match: PAST[match["wrong"]],
    ),
    Rule(
        "en.third_person", "agreement", "subject_verb_agreement", "agreement",
        re.compile(rf"{_NOT_SUBJECT}\b(?:he|she|it) {_OFTEN}(?P<wrong>{_BASE})\b"),
        lambda match: THIRD[match["wrong"]],
    ),
    Rule(
        "en.noun_verb", "agreement", "subject_verb_agreement", "agreement",
        re.compile(rf"{_SINGULAR_SUBJECT} {_OFTEN}(?P<wrong>{_BASE})\b"),
        lambda match: THIRD[match["wrong"]],
    ),
    Rule(
        "en.other_persons", "agreement", "subject_verb_agreement", "agreement",
        re.compile(
            rf"{_NOT_SUBJECT}\b(?:i|you|we|they) {_OFTEN}(?P<wrong>{any_of(THIRD.values())})\b"
        ),
        lambda match: FORMS[match["wrong"]],
    ),
    Rule(
        "en.be_present", "agreement", "subject_verb_agreement", "agreement",
        re.compile(rf"{_NOT_SUBJECT}\b(?P<pronoun>i|you|we|they) (?P<wrong>is)\b"),
        lambda match: _BE[match["pronoun"]],
    ),
    Rule(
        "en.be_past", "agreement", "subject_verb_agreement", "agreement",
        re.compile(rf"{_NOT_SUBJECT}\b(?:you|we|they) (?P<wrong>was)\b"),
        lambda _: "were",
    ),
    Rule(
        "en.people_is", "agreement", "subject_verb_agreement", "agreement",
        re.compile(r"^(?:the |many |some )?people (?P<wrong>is|was|has)\b"),
        lambda match: {"is": "are", "was": "were", "has": "have"}[match["wrong"]],
    ),
    Rule(
        "en.a_an", "articles", "articles", "a_an",
        re.compile(rf"\b(?P<wrong>a)(?= {_VOWEL})"),
        lambda _: "an",
    ),
    Rule(
        "en.an_a", "articles", "articles", "a_an",
        re.compile(rf"\b(?P<wrong>an)(?= {_CONSONANT})"),
        lambda _: "a",
    ),
    Rule(
        "en.plural", "agreement", "plurals", "plural",
        re.compile(rf"\b{_NUMBER} (?P<wrong>{any_of(PLURALS)})\b{_AFTER_NOUN}"),
        lambda match: PLURALS[match["wrong"]],
    ),
    Rule(
        "en.double_plural", "nouns", "plurals", "uncountable",
        re.compile(rf"\b(?P<wrong>{any_of(DOUBLE_PLURALS)})\b"),
        lambda match: DOUBLE_PLURALS[match["wrong"]],
    ),
    Rule(
        "en.modal", "verbs", "modal_verbs", "base_form",
        re.compile(
            rf"\b(?:i|you|he|she|it|we|they) {_MODAL} (?:not )?{_OFTEN}(?P<wrong>{_INFLECTED})\b"
        ),
        lambda match: FORMS[match["wrong"]],
    ),
    Rule(
        "en.modal_to", "verbs", "modal_verbs", "base_form",
        re.compile(
            rf"\b(?:i|you|he|she|it|we|they) {_MODAL} (?:not )?(?P<wrong>to (?P<verb>{_BASE}))\b"
        ),
        lambda match: match["verb"],
    ),
    Rule(
        "en.did", "verbs", "past_tense", "base_form",
        re.compile(
            r"\b(?:didn't|did not|did (?:i|you|he|she|we|they)|doesn't|don't) "
            rf"(?P<wrong>{_INFLECTED})\b"
        ),
        lambda match: FORMS[match["wrong"]],
    ),
    Rule(
        "en.comparative", "adjectives", "comparatives", "comparative",
        re.compile(rf"\b(?P<wrong>more (?P<comparative>{any_of(COMPARATIVES)}))\b"),
        lambda match: match["comparative"],
    ),
    Rule(
        "en.depend", "prepositions", "prepositions", "preposition",
        re.compile(r"\bdepend(?:s|ed|ing)? (?P<wrong>of|from)\b"),
        lambda _: "on",
    ),
)  # fmt: skip
"""The rules in the order of their right of way."""

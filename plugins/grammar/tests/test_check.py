"""Corrections of the embedded engines, and correct sentences that they accept."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loqua_tutor_grammar.check import Checker
from loqua_tutor_grammar.correction import GrammarCorrection, correct_text
from loqua_tutor_grammar.explanation import explain, explain_with_example, message_keys
from loqua_tutor_grammar.rules import RuleEngine, load_rules, points_of, rule_languages

LANGUAGES = tuple(sorted(rule_languages()))
EXAMPLES = [
    pytest.param(language, rule.rule_id, wrong, right, id=f"{language}-{rule.rule_id}-{number}")
    for language in LANGUAGES
    for rule in load_rules(language).rules
    for number, (wrong, right) in enumerate(rule.examples)
]
RIGHT = {
    "es": (
        "Yo soy estudiante.",
        "El agua está fría y tengo mucha hambre.",
        "Me gustan los libros y me gusta leer.",
        "Me gusta los domingos dormir mucho.",
        "Me gustan el café y el té.",
        "Tú y yo somos amigos.",
        "Para ella es fácil.",
        "Es más alto que yo y tiene razón.",
        "Al yo llegar, todos comen.",
        "Los domingos juega al fútbol.",
        "Llega a la casa cansado.",
        "La trabajo mucho y los cambio mañana.",
        "Nieva y hiela, y hierve el agua.",
        "La mano, el mapa, el día, la foto y el problema.",
        "Él como médico tiene mucho trabajo.",
        "No la trabajo yo.",
        "Mi padre es un médico.",
        "Quiero visitar a mi abuela.",
        "Son veinte años de trabajo.",
        "¿Y Isabel?",
        "Mi hermano y yo vivimos en una casa grande.",
        "Esta semana voy al cine con mi madre.",
        "Es ama de casa y mi padre y mi madre están muy ocupados.",
    ),
    "en": (
        "Does he go to school?",
        "Let it go and help her learn.",
        "My brother and he have a car.",
        "I saw him play.",
        "A university student waits an hour for a European car.",
        "Two cat owners and a three year old dog.",
        "He has 20 years of experience.",
        "The will to live.",
        "I like to read books.",
        "If he go there.",
        "She is a good teacher.",
        "I would like a cup of tea.",
        "The weather is very nice today.",
    ),
}


def check(text: str, language: str) -> list[GrammarCorrection]:
    """Check with the rules alone: figures of other engines are theirs."""
    return asyncio.run(Checker((RuleEngine(),)).check(text, language))


@pytest.mark.parametrize(("language", "rule_id", "wrong", "right"), EXAMPLES)
def test_each_rule_finds_its_example_and_sets_it_right(
    language: str, rule_id: str, wrong: str, right: str
) -> None:
    """The best replacements give the right sentence, in which nothing is found."""
    found = check(wrong, language)
    assert rule_id in [each.rule_id for each in found]
    assert correct_text(wrong, found) == right
    assert check(right, language) == []


@pytest.mark.parametrize(
    ("language", "sentence"), [(lang, it) for lang, them in RIGHT.items() for it in them]
)
def test_a_right_sentence_is_left_alone(language: str, sentence: str) -> None:
    """The rules are silent about sentences that resemble mistakes."""
    assert check(sentence, language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_rules_have_names_and_messages_of_their_own(language: str) -> None:
    """Ids are unique, and each message is one that can be explained."""
    rules = load_rules(language).rules
    assert len({rule.rule_id for rule in rules}) == len(rules)
    assert {rule.message for rule in rules} <= message_keys()


@pytest.mark.parametrize("message", sorted(message_keys()))
def test_each_message_is_said_in_four_languages(message: str) -> None:
    """The learner's own, or English."""
    said = {explain(message, name) for name in ("english", "spanish", "french", "portuguese")}
    assert all(said)
    assert explain(message, "klingon") == explain(message, None) == explain(message, "english")
    assert explain_with_example(message, "spanish").startswith(explain(message, "spanish"))


def test_a_language_without_rules_is_left_alone() -> None:
    """The rules find nothing, and other engines are still asked."""
    assert check("Yo es estudiante.", "tlh") == []
    assert points_of("tlh") == {"sentence_structure": ("usage", "usage")}


def test_what_is_found_says_where_why_and_by_whom() -> None:
    """A correction can be shown, explained and counted."""
    (found,) = check("ayer yo fue al mercado", "es")
    assert (found.start, found.end, found.replacements) == (8, 11, ("fui",))
    assert (found.message, found.category) == ("agreement", "agreement")
    assert (found.grammar_point, found.severity) == ("subject_verb_agreement", "error")
    assert (found.source, found.rule_id, found.confidence) == ("rules", "pronoun_verb", 0.9)


def test_capitals_stay_as_they_were() -> None:
    """At the start of a sentence, and in names."""
    assert [each.replacements[0] for each in check("La problema es grande.", "es")] == ["El"]
    text = "Voy a la España."
    assert correct_text(text, check(text, "es")) == "Voy a España."


WORDS = st.sampled_from(
    ["yo", "es", "la", "problema", "me", "gusta", "los", "libros", "y", "ir", "a", "casa", ",", "."]
)


@settings(deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join)),
    st.sampled_from(LANGUAGES),
)
def test_whatever_is_said_corrections_are_in_order_and_within_it(text: str, language: str) -> None:
    """They do not overlap, and each changes something."""
    end = 0
    for each in check(text, language):
        assert end <= each.start < each.end <= len(text)
        assert all(it.lower() != text[each.start : each.end].lower() for it in each.replacements)
        end = each.end
    json.dumps(correct_text(text, check(text, language)))


class FixedEngine:
    """An engine with fixed corrections."""

    def __init__(self, *found: GrammarCorrection) -> None:
        self._found = found

    async def find(self, text: str, language: str) -> Sequence[GrammarCorrection]:  # noqa: ARG002
        """Return it."""
        return self._found


def correction(start: int, end: int, *right: str, source: str = "rules") -> GrammarCorrection:
    """Return a correction with what matters here."""
    return GrammarCorrection(start, end, "usage", "", "", right, "error", source, "", 1.0)


def merged(*engines: FixedEngine) -> list[tuple[int, int, tuple[str, ...], str]]:
    """Return what engines find together."""
    found = asyncio.run(Checker(engines).check("", "es"))
    return [(each.start, each.end, each.replacements, each.source) for each in found]


def test_the_first_engine_has_the_right_of_way() -> None:
    """Of two findings that overlap, the later engine's is dropped; others join in order."""
    rules = FixedEngine(correction(5, 9, "a"))
    other = FixedEngine(correction(8, 12, "b", source="llm"), correction(0, 2, "c", source="llm"))
    assert merged(rules, other) == [(0, 2, ("c",), "llm"), (5, 9, ("a",), "rules")]


def test_replacements_for_the_same_words_are_put_together() -> None:
    """The first engine's come first, each once."""
    rules, other = (
        FixedEngine(correction(5, 9, "a")),
        FixedEngine(correction(5, 9, "b", "a", source="llm")),
    )
    assert merged(rules, other) == [(5, 9, ("a", "b"), "rules")]

"""What the rules find, and what they leave alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_tutor_grammar import check
from loqua_tutor_grammar.check import LANGUAGES, corrected, explain
from loqua_tutor_grammar.correction import Rule
from loqua_tutor_grammar.english import RULES as ENGLISH
from loqua_tutor_grammar.spanish import RULES as SPANISH

WRONG = {
    "es": {
        "Yo es estudiante.": "Yo soy estudiante.",
        "La problema es grande.": "El problema es grande.",
        "Me gusta los libros.": "Me gustan los libros.",
        "Me gustan la playa.": "Me gusta la playa.",
        "Me gusta libros.": "Me gustan los libros.",
        "Yo gusto la música.": "Me gusta la música.",
        "Ella le gusta el café.": "A ella le gusta el café.",
        "Mi hermanos son altos.": "Mis hermanos son altos.",
        "Mis madre trabaja.": "Mi madre trabaja.",
        "Yo querer un café.": "Yo quiero un café.",
        "Ayer yo fue al mercado.": "Ayer yo fui al mercado.",
        "El casa es muy grande.": "La casa es muy grande.",
        "Los niños juega en el parque.": "Los niños juegan en el parque.",
        "Mañana yo ir a la playa.": "Mañana yo voy a la playa.",
        "Las flores es rojo.": "Las flores son rojas.",
        "Ella es muy alto.": "Ella es muy alta.",
        "El día es bonita.": "El día es bonito.",
        "Tengo una casa blanco.": "Tengo una casa blanca.",
        "Yo no sabo la respuesta.": "Yo no sé la respuesta.",
        "Hay muchos gente en la calle.": "Hay mucha gente en la calle.",
        "Tengo mucho hambre.": "Tengo mucha hambre.",
        "Tengo muy sed.": "Tengo mucha sed.",
        "Estoy hambre.": "Tengo hambre.",
        "Soy 20 años": "Tengo 20 años",
        "La agua está fría.": "El agua está fría.",
        "Quiero un otro café.": "Quiero otro café.",
        "Padre y hijo.": "Padre e hijo.",
        "Siete o ocho.": "Siete u ocho.",
        "Voy a playa.": "Voy a la playa.",
        "Voy a parque.": "Voy al parque.",
        "Voy a el parque.": "Voy al parque.",
        "Visito mi abuela.": "Visito a mi abuela.",
        "Antes de comiendo, canto.": "Antes de comer, canto.",
    },
    "en": {
        "She have two brothers.": "She has two brothers.",
        "He don't like coffee.": "He doesn't like coffee.",
        "They likes tea.": "They like tea.",
        "We is happy.": "We are happy.",
        "We was at home last night.": "We were at home last night.",
        "The people is nice.": "The people are nice.",
        "Yesterday I go to the market.": "Yesterday I went to the market.",
        "My sister live in London.": "My sister lives in London.",
        "I want a apple.": "I want an apple.",
        "I have an book.": "I have a book.",
        "I have two cat.": "I have two cats.",
        "The childrens are playing.": "The children are playing.",
        "She can sings very well.": "She can sing very well.",
        "She can to sing.": "She can sing.",
        "I didn't went there.": "I didn't go there.",
        "He is more taller than me.": "He is taller than me.",
        "It depends of the weather.": "It depends on the weather.",
        "I am agree with you.": "I agree with you.",
        "I am study English.": "I am studying English.",
        "I have 20 years old": "I am 20 years old",
    },
}

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
    ),
}


def cases(table: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    """Language, wrong and right sentence."""
    return [(lang, wrong, right) for lang, them in table.items() for wrong, right in them.items()]


@pytest.mark.parametrize(("language", "wrong", "right"), cases(WRONG))
def test_a_mistake_is_found_and_set_right(language: str, wrong: str, right: str) -> None:
    """The best replacement of each correction gives the right sentence."""
    assert corrected(wrong, check(wrong, language)) == right


@pytest.mark.parametrize(("language", "wrong", "right"), cases(WRONG))
def test_what_was_set_right_is_right(language: str, wrong: str, right: str) -> None:  # noqa: ARG001  the name in the report
    """No rule finds fault with another's correction."""
    assert check(right, language) == []


@pytest.mark.parametrize(
    ("language", "sentence"), [(lang, it) for lang, them in RIGHT.items() for it in them]
)
def test_a_right_sentence_is_left_alone(language: str, sentence: str) -> None:
    """Where a rule could be fooled, it is silent."""
    assert check(sentence, language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_is_tried(language: str) -> None:
    """No rule is without an example."""
    tried = {c.rule_id for wrong in WRONG[language] for c in check(wrong, language)}
    assert tried == {rule.rule_id for rule in {"es": SPANISH, "en": ENGLISH}[language]}


@pytest.mark.parametrize("rule", [*SPANISH, *ENGLISH], ids=lambda rule: rule.rule_id)
@pytest.mark.parametrize("language", ["english", "spanish", "french", "german"])
def test_every_rule_is_explained_in_every_language(rule: Rule, language: str) -> None:
    """The explanation is one of that language, and English stands in for others."""
    assert explain(rule.message, language)
    assert explain(rule.message, "klingon") == explain(rule.message, "english")


def test_a_correction_says_where_what_and_why() -> None:
    """All that a tutor needs to speak of a mistake."""
    (correction,) = check("¡Hola! Yo es Ana.", "es")
    assert (correction.start, correction.end) == (10, 12)
    assert correction.replacements == ("soy",)
    assert correction.rule_id == "es.pronoun_verb"
    assert correction.message == "agreement"
    assert correction.category == "agreement"
    assert correction.grammar_point == "subject_verb_agreement"
    assert correction.severity == "error"


def test_a_language_without_rules_has_no_mistakes() -> None:
    """Nothing is claimed about a language that nobody wrote rules for."""
    assert check("Yo es estudiante.", "fr") == []


WORDS = st.sampled_from(
    sorted(
        {word for them in WRONG.values() for it in them for word in it.split()}
        | {"y", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "\N{LATIN SMALL LETTER LONG S}"}
    )
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=15).map(" ".join))


@pytest.mark.parametrize("language", [*LANGUAGES, "fr"])
@given(text=TEXTS)
def test_whatever_is_said_the_spans_lie_in_the_text(language: str, text: str) -> None:
    """No input raises; spans are in order, apart from each other, and not empty."""
    end = 0
    for correction in check(text, language):
        assert end <= correction.start < correction.end <= len(text)
        assert correction.replacements
        assert correction.replacements[0] != text[correction.start : correction.end]
        end = correction.end
    json.dumps(corrected(text, check(text, language)))

"""The language of patterns."""

import pytest

from loqua_tutor_grammar.agreement import agree, features, inflect
from loqua_tutor_grammar.lexicon import Lexicon, Reading
from loqua_tutor_grammar.pattern import find_matches, parse_element, tokenise

LEXICON = Lexicon.of(
    {
        "la": [Reading("el", "DA0FS0")],
        "el": [Reading("el", "DA0MS0")],
        "casa": [Reading("casa", "NCFS000"), Reading("casar", "VMIP3S0")],
        "libro": [Reading("libro", "NCMS000")],
        "libros": [Reading("libro", "NCMP000")],
    }
)
SETS = {"article": frozenset({"el", "la"})}


def found(pattern: list[str], text: str) -> list[dict[str, str]]:
    """Return the forms of the named tokens of each match."""
    elements = [parse_element(each, SETS) for each in pattern]
    matches = find_matches(elements, tokenise(text, LEXICON))
    return [{name: token.form for name, token in match.tokens.items()} for match in matches]


@pytest.mark.parametrize(
    ("element", "words"),
    [
        pytest.param("x: casa|libro", ["casa", "libro"], id="forms"),
        pytest.param("x: @article", ["la", "el"], id="set"),
        pytest.param("x: /NC", ["casa", "libro"], id="tag"),
        pytest.param("x: /NC !/V", ["libro"], id="tag_not_another"),
        pytest.param("x: =casar/", ["casa"], id="lemma"),
        pytest.param("x: =casa/V", [], id="lemma_and_tag_of_one_reading"),
        pytest.param("x: @article|/V", ["la", "casa", "el"], id="set_or_tag"),
        pytest.param("x: ~o$", ["libro", "solo"], id="end_of_the_form"),
        pytest.param("x: . !/NC !@article", ["solo"], id="any_word_but"),
        pytest.param("x: ^|$", ["^", "$"], id="start_and_end"),
    ],
)
def test_an_element_takes_what_passes_its_tests(element: str, words: list[str]) -> None:
    """Each test narrows it."""
    assert [match["x"] for match in found([element], "La casa, el libro solo")] == words


def test_an_element_may_be_missing_or_come_often() -> None:
    """`?` once or not at all, `*` any number."""
    assert found(["la", "? muy", "x: casa"], "la casa, la muy casa, la muy muy casa") == [
        {"x": "casa"},
        {"x": "casa"},
    ]
    assert found(["la", "* muy", "x: casa"], "la muy muy casa") == [{"x": "casa"}]


def test_punctuation_parts_words() -> None:
    """No pattern reaches over it."""
    assert found(["la", "x: casa"], "la, casa") == []


@pytest.mark.parametrize("element", ["@nothing", ""], ids=["no_such_set", "no_tests"])
def test_what_is_no_element_is_refused(element: str) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match=r"add it to \[sets\]|write"):
        parse_element(element, SETS)


def test_tags_say_what_agrees() -> None:
    """Gender and number of articles and nouns, the person of verbs; a noun is a third person."""
    la, el = LEXICON.readings["la"], LEXICON.readings["el"]
    casa = LEXICON.readings["casa"][:1]
    assert agree(la, casa)
    assert not agree(el, casa)
    assert agree(casa, [Reading("ser", "VSIP3S0")])
    assert not agree(casa, [Reading("ser", "VSIP1S0")])
    assert features("VMIP3S0") == {"person": "3", "number": "S"}


def test_a_word_is_inflected_to_agree() -> None:
    """The same word in another form, if the lexicon has it."""
    (libro,) = LEXICON.readings["libro"]
    assert inflect(LEXICON, libro, {"number": "P"}) == "libros"
    assert inflect(LEXICON, libro, {"gender": "F"}) is None

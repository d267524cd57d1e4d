"""Redaction of the API's error messages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.core.echo import without_echo

SENT = json.dumps(
    {
        "userId": "maria",
        "sessionId": "sess_1",
        "data": {"topics_covered": ["zebra quokka 4711"], "words": [{"word": "mañana"}]},
    }
).encode()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("INVALID: topics_covered[0]: is too long", "INVALID: topics_covered[0]: is too long"),
        ("INVALID: 'agentId' and \"topics_covered\" are needed",) * 2,
        ("the value zebra quokka 4711 is not allowed", "the value … … … is not allowed"),
        ("'zebra quokka 4711' is not allowed", "… is not allowed"),
        ("got ZEBRA, Mañana", "got …, …"),
        (r"got ma\u00f1ana, zebr", "got …, …"),
        ("got `zebr` of 17", "got … of 17"),
        ("user maria has no session sess_1",) * 2,
        ('cannot parse focus area "viajes"', "cannot parse focus area …"),
    ],
)
def test_values_are_hidden_and_names_are_shown(said: str, shown: str) -> None:
    """Whole, as words, cut, in capitals, escaped; fields and codes are for whoever fixes it."""
    assert without_echo(said, SENT) == shown


def test_an_answer_to_a_get_hides_what_it_quotes() -> None:
    """It may quote what the API knows of the learner."""
    assert without_echo("bad area “zebra quokka”", None) == "bad area …"


LETTERS = st.characters(categories=["L", "Nd"])


@given(st.text(LETTERS, min_size=1), st.text(st.characters(categories=["P", "Z", "S"])))
def test_no_word_that_was_sent_is_shown(word: str, around: str) -> None:
    """Of whatever script."""
    sent = json.dumps({"data": {"phrases": [f"a {word} b"]}}).encode()
    assert word not in without_echo(f"{around} {word} {around}", sent)


@pytest.mark.parametrize("escaped", [r"\ud83d", r"\u0000", r"\u000a"])
def test_what_was_escaped_stays_printable(escaped: str) -> None:
    """Half a character fits into no log and no ledger."""
    assert without_echo(f"got {escaped}", SENT) == "got …"

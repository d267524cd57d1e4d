"""The measurement, on sentences written for this test."""

import json
from pathlib import Path

import pytest

from loqua_tutor_grammar.check import Checker
from loqua_tutor_grammar.measure import Figures, is_held_out, measure, read_sentences
from loqua_tutor_grammar.rules import RuleEngine

ROWS = (
    ("wrong", "la problema es grande", "El problema es grande.", ["gender_agr"]),
    ("wrong", "me duele la cabeza por mañana", "Me duele la cabeza por la mañana.", ["article"]),
    ("wrong", "ella es alta", "Es alta.", ["subject_pronoun"]),
    ("right", "la casa es grande", "La casa es grande.", []),
    ("right", "yo es aquí", "Yo es aquí.", []),
)


async def test_a_corpus_in_json_is_measured(tmp_path: Path) -> None:
    """Of two mistakes one is found and set right; style is left out."""
    path = tmp_path / "corpus.jsonl"
    rows = [
        {"id": f"{at}.x", "label": label, "spoken": said, "references": [right], "category": kind}
        for at, (label, said, right, kind) in enumerate(ROWS)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    language, sentences = read_sentences(path)
    figures = await measure(Checker((RuleEngine(),)), language, sentences)
    assert figures == Figures(core=2, right=2, overlap=0.5, fix=0.5, false_positives=0.5)
    assert str(figures).startswith("core overlap 50.0%, core fix 50.0% of 2")


async def test_a_folder_of_lines_is_measured(tmp_path: Path) -> None:
    """A source and its references, line by line; punctuation and spelling don't count."""
    (tmp_path / "dev.src").write_text("He have a dog .\nShe is here .\nI like teh sea .\n")
    (tmp_path / "dev.ref0").write_text("He has a dog .\nShe is here !\nI like the sea .\n")
    (tmp_path / "dev.ref1").write_text("He has a dog .\nShe 's here .\nI like the sea .\n")
    language, sentences = read_sentences(tmp_path)
    assert [(it.text, it.wrong) for it in sentences] == [
        ("he have a dog", True),
        ("she is here", False),
        ("I like teh sea", True),
    ]
    figures = await measure(Checker((RuleEngine(),)), language, sentences[:2])
    assert figures == Figures(core=1, right=1, overlap=1.0, fix=1.0, false_positives=0.0)


@pytest.mark.parametrize("students", [200], ids=["two_hundred"])
def test_half_of_the_students_are_held_out(students: int, tmp_path: Path) -> None:
    """Always the same ones."""
    path = tmp_path / "corpus.jsonl"
    rows = [
        {"id": f"{at}.x", "label": "right", "spoken": "a", "references": ["a"], "category": []}
        for at in range(students)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    _, sentences = read_sentences(path)
    assert 70 < sum(map(is_held_out, sentences)) < 130

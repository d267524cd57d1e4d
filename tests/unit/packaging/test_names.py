"""Public names: each unique and in the table."""

from collections import Counter

from tests.unit.packaging.names import TABLE, public_names, render


def test_no_public_name_stands_for_two_things() -> None:
    """One word, one thing; a second class of a name is qualified."""
    counted = Counter(name for name, _ in public_names())
    assert [name for name, count in counted.items() if count > 1] == []


def test_each_public_name_says_in_a_line_what_it_is() -> None:
    """In the code, from where the table has it."""
    assert [name for name, text in public_names() if not text] == []


def test_the_table_of_names_is_the_codes() -> None:
    """Or `uv run python -m tests.unit.packaging.names` was not run after a change."""
    assert TABLE.read_text() == render(public_names())

"""The ledger's queries: each named, used, and in an `.sql` file."""

import re
from pathlib import Path

import pytest

from loqua_host.records import queries
from loqua_host.records.queries import QUERIES, load_queries

CODE = {path: path.read_text() for path in Path(queries.__file__).parent.glob("*.py")}


def test_every_query_is_used_and_every_one_that_is_used_is_there() -> None:
    """By its whole name, so that it can be searched for."""
    used = {name for text in CODE.values() for name in re.findall(r'QUERIES\["(\w+)"\]', text)}
    assert used == set(QUERIES)
    assert not [path for path, text in CODE.items() if re.search(r'QUERIES\[(?!"\w+"\])', text)]


def test_no_query_stands_in_the_code() -> None:
    """Nor is one put together there; what a database alone knows (PRAGMA, VACUUM) may."""
    statement = re.compile(r'"\s*(SELECT [\w*, ]+ FROM (?!sqlite_schema)|INSERT |UPDATE |DELETE )')
    assert not [path.name for path, text in CODE.items() if statement.search(text)]


def test_comments_say_why_and_are_not_sent() -> None:
    """A query is one statement, without the comments below its name."""
    assert QUERIES["end_lease"] == "UPDATE host SET lease_until = unix_now() WHERE id = :host"
    assert not [name for name, text in QUERIES.items() if "--" in text or ";" in text]


def test_a_query_that_is_not_there_is_named() -> None:
    """And none can be added or changed."""
    with pytest.raises(KeyError, match="renew_leese"):
        QUERIES["renew_leese"]
    with pytest.raises(TypeError):
        QUERIES["renew_lease"] = "SELECT 1"  # type: ignore[index]  # what is tried


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n", "the query one is there twice"),
        ("-- name: one\n-- name: two\nSELECT 2;\n", "one is not one query"),
        ("-- name: one\nSELECT 1;\nSELECT 2;\n", "one is not one query"),
        ("-- A file.\nSELECT 1;\n-- name: two\nSELECT 2;\n", "begins without a name"),
    ],
    ids=["a name twice", "nothing below a name", "two queries below a name", "no name"],
)
def test_a_mistake_in_a_file_is_reported_with_its_name(
    tmp_path: Path, text: str, message: str
) -> None:
    """The import fails, not a lesson's first query."""
    (tmp_path / "lessons.sql").write_text(text)
    with pytest.raises(ValueError, match=rf"lessons\.sql: {message}"):
        load_queries(tmp_path)


def test_a_name_may_not_be_in_two_files(tmp_path: Path) -> None:
    """The second one is named."""
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: one\nSELECT 1;\n")
    with pytest.raises(ValueError, match=r"b\.sql: the query one is there twice"):
        load_queries(tmp_path)

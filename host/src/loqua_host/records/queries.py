"""The ledger's SQL, read from `sql/queries/*.sql` once at import.

A query begins with `-- name: …`; the comment below the name explains why it is safe. SQLite and
Postgres share the same text: `:value` is a parameter, `unix_now()` is the database's clock in Unix
seconds, and `FOR UPDATE` is removed for SQLite, which has one writer at a time.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

__all__ = ["NO_VALUES", "QUERIES", "load_queries"]

NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def load_queries(directory: Traversable) -> Mapping[str, str]:
    """Return the queries of a directory's `.sql` files by name, without their comments.

    Raises:
        ValueError: If a name is duplicate, or a name or a query is missing; it names the file.
    """
    queries: dict[str, str] = {}
    for file in sorted(directory.iterdir(), key=lambda file: file.name):
        for name, query in _parse(file.read_text("utf-8"), file.name):
            if name in queries:
                raise ValueError(f"{file.name}: the query {name} is there twice; rename one")
            queries[name] = query
    return MappingProxyType(queries)


def _parse(text: str, file: str) -> Iterator[tuple[str, str]]:
    head, *rest = NAME.split(text)
    if COMMENT.sub("", head).strip():
        raise ValueError(f"{file}: begins without a name; write `-- name: …` above each query")
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        query = COMMENT.sub("", body).strip().removesuffix(";")
        if not query or ";" in query:
            raise ValueError(f"{file}: {name} is not one query; write one below each name")
        yield name, query


QUERIES = load_queries(files(__package__) / "sql" / "queries")

NO_VALUES: Mapping[str, object] = MappingProxyType({})

"""Ledgers in a file and in Postgres."""

from collections.abc import Iterator

import pytest

from loqua_host.dev.postgres import new_schema


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Yield the URL of an empty database, or none for a ledger in a file."""
    if request.param == "sqlite":
        yield None
        return
    with new_schema(request.getfixturevalue("postgres")) as url:
        yield url

"""Fixtures that run the ledger's tests on each supported database."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from loqua_host.dev.postgres import new_schema
from loqua_host.records.database import Database
from loqua_host.records.ledger import Ledger
from loqua_host.records.postgres import PostgresDatabase
from loqua_host.records.sqlite import SqliteDatabase


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """Yield the URL of an empty database."""
    with new_schema(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Return a maker of connections to one database, empty at first."""
    if request.param == "sqlite":
        return lambda: SqliteDatabase(tmp_path / "ledger.db")
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresDatabase(url)


@pytest.fixture
async def ledger(make_database: Callable[[], Database]) -> AsyncIterator[Ledger]:
    """Yield a ledger in each database."""
    async with Ledger.open(make_database(), retry_every=0.01) as ledger:
        yield ledger

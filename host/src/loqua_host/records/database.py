"""The port to the ledger's database: one connection, one transaction at a time.

Texts are the same for every database: `?` stands for a value, `unix_now()` for the database's own
clock in unix seconds, and `FOR UPDATE` keeps other hosts from what is chosen, until the end.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Connection", "Cursor", "Database", "Row"]

Row = Mapping[str, Any]
"""A row, by the names of its columns."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Row | None:
        """Get the next row."""

    def fetchall(self) -> Sequence[Row]:
        """Get all rows that are left."""


class Connection(Protocol):
    """A transaction under way."""

    def execute(self, text: str, values: Sequence[object] = ()) -> Cursor:
        """Do one statement."""


class Database(Protocol):
    """A database that holds a ledger; one thread uses it at a time.

    Whatever goes wrong with it raises a LedgerError that names the place and the mend.
    """

    def open(self) -> None:
        """Connect as a host, with the ledger made and brought to the newest form if need be."""

    def join(self) -> None:
        """Connect beside the hosts, to a ledger that is there and of the newest form."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Give a transaction: on disk when the block ends, undone if the block raises."""

    def scrub(self) -> None:
        """Have what was deleted gone from the database's files, too."""

    def close(self) -> None:
        """Disconnect."""

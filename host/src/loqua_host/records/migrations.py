"""The ledger's schema: numbered migrations, and which of them a database still needs.

`sql/sqlite` and `sql/postgres` have the same numbers. A host applies all missing migrations in one
transaction when it starts: the database then has the newest version, or is unchanged. Never change
a released migration; add a file with the next number.

Hosts of the version before run on during an upgrade. So a migration only adds: tables, indexes, and
columns with a default. What is no longer used is removed by a later version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from loqua_host.errors import LedgerError

__all__ = ["Migration", "check_current", "find_pending", "load_migrations"]


@dataclass(frozen=True, slots=True)
class Migration:
    """The change of the schema from the previous version to this one."""

    version: int
    script: str


def load_migrations(directory: str) -> tuple[Migration, ...]:
    """Return the migrations in a directory of `sql`, by version.

    Raises:
        ValueError: If a number is missing or there twice.
    """
    return read_migrations(files(__package__) / "sql" / directory)


def read_migrations(directory: Traversable) -> tuple[Migration, ...]:
    """Return the migrations in a directory: files named `0001_what_it_does.sql`."""
    found = sorted(directory.iterdir(), key=lambda file: file.name)
    for number, file in enumerate(found, start=1):
        if not file.name.startswith(f"{number:04}_"):
            raise ValueError(f"{file.name}: expected a migration {number:04}_….sql; renumber it")
    return tuple(
        Migration(number, file.read_text("utf-8")) for number, file in enumerate(found, start=1)
    )


def find_pending(migrations: Sequence[Migration], version: int, place: str) -> Sequence[Migration]:
    """Return the migrations that a database of this version still needs.

    Args:
        migrations: All that this loqua-host knows.
        version: The database's `schema_version`; 0 for an empty one.
        place: The setting that names the database.

    Raises:
        LedgerError: If a newer loqua-host migrated it.
    """
    if version > len(migrations):
        raise LedgerError(
            f"{place}: a newer loqua-host wrote it (schema version {version}; this one knows"
            f" {len(migrations)}); install that version"
        )
    return migrations[version:]


def check_current(migrations: Sequence[Migration], version: int, place: str) -> None:
    """Raise LedgerError unless a database is at this loqua-host's version."""
    if version == 0:
        raise LedgerError(f"{place}: contains no ledger; start the host once to create it")
    if find_pending(migrations, version, place):
        raise LedgerError(
            f"{place}: has schema version {version}, and this loqua-host needs {len(migrations)};"
            " start the host once to migrate it"
        )

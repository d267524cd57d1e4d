"""The ledger in Postgres, shared by several hosts."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from loqua_host.errors import LedgerError

from .migrations import check_current, find_pending, load_migrations
from .queries import NO_VALUES, QUERIES

__all__ = ["PostgresDatabase"]

MIGRATIONS = load_migrations("postgres")

MIGRATION_LOCK = 0x6C6F717561
"""The key of the advisory lock that serialises migrations."""

DEFAULTS: dict[str, Any] = {
    "application_name": "loqua-host",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Defaults that the URL may override. They detect a dead server within ten seconds."""

SETTING = "LEDGER_URL"

PLACEHOLDER = re.compile(r"(?<!:):([a-z_]+)")
"""A named placeholder, but not the second colon of a cast (`::`)."""

ANSWER_SECONDS = 16.0
"""Seconds that the server has for an answer, more than `statement_timeout`. A server that hangs, or
a proxy before it, keeps the connection alive and never answers."""

BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '15s';"
    " SET LOCAL lock_timeout = '5s'; SET LOCAL synchronous_commit = on"
)
"""The queries are safe at this level. At a stricter one, they would fail instead of waiting.

The settings are those of the transaction: behind pgbouncer in transaction mode, the next one has
another session, and a setting of the session would be another client's.
"""

HINTS = {
    "08": "see that the server runs and can be reached",
    "25006": "name the primary server: this one is read-only",
    "28": "correct the user and password in LEDGER_URL, or what pg_hba.conf allows",
    "3D": "create that database, or name another one in LEDGER_URL",
    "42723": "name a schema or database that nothing else has used",
    "42P07": "name a schema or database that nothing else has used",
    "42501": "let its user create tables there, as the owner of a database may",
    "53100": "free some disk space on the server",
    "53": "raise the server's limits: they are reached",
    "57P": "start the server again",
}
"""Hints, by the prefix of the SQLSTATE."""

UNREACHABLE = "see that the server runs and that LEDGER_URL names it, with its user and password"


class _Connection(psycopg.Connection[dict[str, Any]]):
    """A connection that is closed when the server does not answer in time.

    Attributes:
        answer_seconds: How long it has; None for ever.
    """

    answer_seconds: float | None = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server's answer.

        Raises:
            psycopg.OperationalError: If it does not come, or the connection is lost.
        """
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()
            raise

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Wait for as long as answers take, for the length of a block."""
        limit, self.answer_seconds = self.answer_seconds, None
        try:
            yield
        finally:
            self.answer_seconds = limit


class PostgresDatabase:
    """The database of a URL. It reconnects by itself.

    Args:
        url: A URL such as `postgresql://user:password@host/database?sslmode=verify-full`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: _Connection | None = None

    def open(self) -> None:
        """Connect, one host of several."""
        with self._named():
            self._migrate(self._connect())

    def open_existing(self) -> None:
        """Connect beside the hosts."""
        with self._named():
            try:
                check_current(MIGRATIONS, _version(self._connect()), SETTING)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator["PostgresDatabase"]:
        """Return a transaction at READ COMMITTED; the queries explain why that is sufficient."""
        with self._named():
            connection = self._begin()
            try:
                yield self
            except BaseException:
                with suppress(psycopg.OperationalError):  # the connection may be lost
                    connection.rollback()
                raise
            connection.commit()

    def execute(
        self, query: str, values: Mapping[str, object] = NO_VALUES
    ) -> psycopg.Cursor[dict[str, Any]]:
        """Run one query of the transaction."""
        if self._connection is None:
            raise LedgerError(f"{SETTING}: is not open")
        return self._connection.execute(_with_placeholders(query), values)

    def erase_deleted(self) -> None:
        """Vacuum the tables. The server's WAL and backups may still contain deleted data."""
        with self._named():
            if self._connection is not None:
                with self._connection.patient():
                    self._connection.execute("VACUUM lesson, outbox, claim")

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin(self) -> _Connection:
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(psycopg.OperationalError):  # the connection may have been lost
                connection.execute(BEGIN)
                return connection
        connection = self._connect()
        connection.execute(BEGIN)
        return connection

    def _connect(self) -> _Connection:
        self.close()
        try:
            wanted = {**DEFAULTS, **conninfo_to_dict(self._url)}
        except psycopg.ProgrammingError:  # its message may contain the password
            hint = "write postgresql://user:password@host/database, with %-escapes where needed"
            raise LedgerError(f"{SETTING}: is not a Postgres address; {hint}") from None
        self._connection = connection = _Connection.connect(
            **wanted, autocommit=True, row_factory=dict_row
        )
        if not _is_direct(connection):
            connection.prepare_threshold = None
        return connection

    def _migrate(self, connection: _Connection) -> None:
        """Apply the pending migrations atomically: Postgres' DDL is transactional.

        Hosts may start at the same time. The advisory lock serialises them; the second one reads
        the version under the lock and has nothing to do.
        """
        with connection.patient(), self.transaction():
            self.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            self.execute("SELECT pg_advisory_xact_lock(:lock)", {"lock": MIGRATION_LOCK})
            for migration in find_pending(MIGRATIONS, _version(connection), SETTING):
                connection.execute(migration.script.encode())
                self.execute(QUERIES["insert_schema_version"], {"version": migration.version})

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            hints = (HINTS[known] for known in HINTS if state.startswith(known))
            hint = next(hints, "see the server's log" if state else UNREACHABLE)
            # The details would quote rows. Without an answer of the server, there are none.
            reason = error.diag.message_primary or " ".join(str(error).split())
            raise LedgerError(f"{SETTING}: {reason}; {hint}") from error


def _is_direct(connection: _Connection) -> bool:
    """Return whether the server itself is at the other end, and not a pool such as pgbouncer.

    A prepared statement belongs to a session of the server, which a pool may change between two
    transactions. It spares the server most of its work for the ledger's queries. A pool makes up
    the process id of the protocol's start (BackendKeyData).
    """
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return row is not None and row["pid"] == connection.info.backend_pid


def _version(connection: psycopg.Connection[dict[str, Any]]) -> int:
    table = connection.execute("SELECT to_regclass('schema_version') AS name").fetchone()
    if table is None or table["name"] is None:
        return 0
    row = connection.execute(QUERIES["schema_version"].encode()).fetchone()
    return 0 if row is None else int(row["version"])


@cache
def _with_placeholders(query: str) -> bytes:
    """Return a query with psycopg's `%(value)s` in place of `:value`."""
    return PLACEHOLDER.sub(r"%(\1)s", query.replace("%", "%%")).encode()

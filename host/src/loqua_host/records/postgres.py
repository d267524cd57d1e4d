"""The ledger in Postgres, which several hosts share; failing by name."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from loqua_host.errors import LedgerError

__all__ = ["PostgresDatabase"]

MIGRATIONS: tuple[LiteralString, ...] = (
    """
    CREATE TABLE lesson (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        visit TEXT NOT NULL,
        user_id TEXT NOT NULL,
        user_mark TEXT NOT NULL DEFAULT '',
        room TEXT NOT NULL,
        tutor TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        opened_at DOUBLE PRECISION NOT NULL,
        seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
        progress TEXT,
        state TEXT NOT NULL DEFAULT '{}',
        restarts INTEGER NOT NULL DEFAULT 0,
        closed_at DOUBLE PRECISION,
        entry TEXT NOT NULL DEFAULT '',
        key_id TEXT NOT NULL DEFAULT '',
        because TEXT,
        owner TEXT NOT NULL DEFAULT '',
        interrupted INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX lesson_room ON lesson (room);
    CREATE INDEX lesson_open ON lesson (room, tutor) WHERE closed_at IS NULL;
    CREATE INDEX lesson_user ON lesson (user_mark);
    CREATE INDEX lesson_closed ON lesson (closed_at) WHERE closed_at IS NOT NULL;
    CREATE INDEX lesson_key ON lesson (key_id);
    CREATE INDEX lesson_owner ON lesson (owner);
    CREATE TABLE owed (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        lesson TEXT NOT NULL REFERENCES lesson (id),
        kind TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        payload TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        unsure INTEGER NOT NULL DEFAULT 0,
        not_before DOUBLE PRECISION NOT NULL DEFAULT 0,
        dead_because TEXT,
        dead_at DOUBLE PRECISION,
        UNIQUE (lesson, kind)
    );
    CREATE INDEX owed_due ON owed (lesson, id) WHERE dead_because IS NULL;
    CREATE INDEX owed_dead ON owed (dead_at) WHERE dead_at IS NOT NULL;
    CREATE TABLE host (id TEXT PRIMARY KEY, lease_until DOUBLE PRECISION NOT NULL);
    CREATE TABLE claim (
        room TEXT NOT NULL,
        tutor TEXT NOT NULL,
        host TEXT NOT NULL,
        lesson TEXT REFERENCES lesson (id) ON DELETE CASCADE,
        until DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (room, tutor)
    );
    CREATE INDEX claim_lesson ON claim (lesson);
    CREATE TABLE refusal (
        room TEXT NOT NULL,
        entry TEXT NOT NULL,
        tutor TEXT NOT NULL,
        at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (room, entry, tutor)
    );
    """,
    """
    ALTER TABLE owed ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    UPDATE owed SET owner = (SELECT owner FROM lesson WHERE id = owed.lesson);
    DROP INDEX owed_due;
    CREATE INDEX owed_due ON owed (owner, lesson, id) WHERE dead_because IS NULL;
    """,
    "ALTER TABLE owed ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE lesson ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0",
)
"""The forms the ledger has had in Postgres, oldest first; columns are as in SQLite."""

MIGRATING = 0x6C6F717561
"""The number of the advisory lock that only one host migrates under."""

DEFAULTS: dict[str, Any] = {
    "application_name": "loqua-host",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What the URL may say otherwise: a server that is gone is noticed within ten seconds."""

SESSION = "SET statement_timeout = '15s'; SET lock_timeout = '5s'; SET synchronous_commit = on"

MENDS = {
    "08": "see that the server runs and can be reached",
    "25006": "name the primary server: this one is read-only",
    "28": "correct the user and password in LEDGER_URL, or what pg_hba.conf allows",
    "3D": "create that database, or name another one in LEDGER_URL",
    "42501": "let its user create tables there, as the owner of a database may",
    "53100": "free some disk space on the server",
    "53": "give the server more room: its limits are reached",
    "57P": "start the server again",
}
"""What to do, by the beginning of the SQLSTATE."""

UNREACHABLE = "see that the server runs and that LEDGER_URL names it, with its user and password"


class PostgresDatabase:
    """The database that a URL names. Connects again by itself after the connection broke.

    Args:
        url: Such as `postgresql://user:password@host/database?sslmode=verify-full`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def open(self) -> None:
        """Connect, one host of several."""
        with self._named():
            self._migrate(self._connect())

    def join(self) -> None:
        """Connect beside the hosts."""
        with self._named():
            if _version(self._connect()) != len(MIGRATIONS):
                self.close()
                mend = "use the loqua-host that runs with it, or start this one once"
                raise LedgerError(f"LEDGER_URL: holds no ledger of this version's form; {mend}")

    @contextmanager
    def transaction(self) -> Iterator["PostgresDatabase"]:
        """Give a transaction."""
        with self._named(), ExitStack() as begun:
            self._begin(begun)
            yield self

    def execute(self, text: str, values: Sequence[object] = ()) -> psycopg.Cursor[dict[str, Any]]:
        """Do one statement of the transaction."""
        if self._connection is None:
            raise LedgerError("LEDGER_URL: is not open")
        return self._connection.execute(_translated(text), values)

    def scrub(self) -> None:
        """Have the server free what was deleted; its own log and backups keep it for their time."""
        with self._named():
            if self._connection is not None:
                self._connection.execute("VACUUM lesson, owed, claim")

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin(self, begun: ExitStack) -> None:
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(psycopg.OperationalError):  # the server has gone away and may be back
                begun.enter_context(connection.transaction())
                return
        begun.enter_context(self._connect().transaction())

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        self.close()
        try:
            wanted = {**DEFAULTS, **conninfo_to_dict(self._url)}
        except psycopg.ProgrammingError:  # its message may have the password
            mend = "write postgresql://user:password@host/database, with %-escapes where needed"
            raise LedgerError(f"LEDGER_URL: is no address of a Postgres; {mend}") from None
        connection = psycopg.connect(**wanted, autocommit=True, row_factory=dict_row)
        connection.execute(SESSION)
        self._connection = connection
        return connection

    def _migrate(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
            version = _version(connection)
            if version > len(MIGRATIONS):
                raise LedgerError("LEDGER_URL: a newer loqua-host wrote it; install that one")
            if version == 0:
                connection.execute("CREATE TABLE ledger_form (number INTEGER NOT NULL)")
                connection.execute("INSERT INTO ledger_form (number) VALUES (0)")
            for script in MIGRATIONS[version:]:
                connection.execute(script)
            connection.execute("UPDATE ledger_form SET number = %s", (len(MIGRATIONS),))

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            mends = (MENDS[known] for known in MENDS if state.startswith(known))
            mend = next(mends, "see the server's log" if state else UNREACHABLE)
            # Details quote rows; without a server's answer there are none.
            told = error.diag.message_primary or " ".join(str(error).split())
            raise LedgerError(f"LEDGER_URL: {told}; {mend}") from error


def _version(connection: psycopg.Connection[dict[str, Any]]) -> int:
    there = connection.execute("SELECT to_regclass('ledger_form') AS name").fetchone()
    if there is None or there["name"] is None:
        return 0
    row = connection.execute("SELECT number FROM ledger_form").fetchone()
    return 0 if row is None else int(row["number"])


@cache
def _translated(text: str) -> LiteralString:
    text = text.replace("?", "%s")
    return text.replace("unix_now()", "extract(epoch FROM clock_timestamp())::float8")

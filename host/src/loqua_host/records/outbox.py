"""What is owed to the API, row by row."""

import time
from collections.abc import Sequence

import structlog

from loqua_host.errors import SealError

from .database import Connection, Row
from .leases import is_renewed
from .rows import Debts, Kind, OwedRow, read_owed
from .seal import Keyring, Sealing
from .writer import Writer

__all__ = ["Outbox"]

log = structlog.get_logger()

PAGE = 5000
"""Rows that are listed in one transaction, so that other work gets its turn in between."""


class Outbox:
    """What this host owes to the API.

    Methods return once their change is on disk. While the ledger is out of reach they wait for it
    and say so in the log: what is owed is not given up.
    """

    def __init__(self, writer: Writer, keyring: Keyring, host: str) -> None:
        self._writer = writer
        self._keyring = keyring
        self._host = host

    @property
    def busy_seconds(self) -> float:
        """How long the only connection has been in use."""
        return self._writer.busy_seconds

    @property
    def failures(self) -> int:
        """How often the database failed so far."""
        return self._writer.failures

    async def owing(self, after: str = "") -> dict[str, float]:
        """List lessons, by id, of which this host is still to send something; a page at a time.

        Args:
            after: The last lesson of the page before.

        Returns:
            When each is due, in unix seconds; nothing once there are no more.
        """

        def read(db: Connection) -> dict[str, float]:
            rows = db.execute(
                "SELECT lesson, not_before FROM owed"
                " WHERE dead_because IS NULL AND owner = ? AND lesson > ?"
                " ORDER BY lesson, id LIMIT ?",
                (self._host, after, PAGE),
            ).fetchall()
            page: dict[str, float] = {}
            for row in rows:
                page.setdefault(row["lesson"], row["not_before"])  # its rows go in order
            return page

        return await self._writer.insist(read)

    async def debts(self) -> Debts:
        """Count what all hosts of the ledger owe; asked in vain, it does not wait.

        Raises:
            LedgerError: If the ledger cannot be read now.
        """

        def read(db: Connection) -> Debts:
            row = db.execute(
                "SELECT count(*) FILTER (WHERE kind = 'record' AND dead_because IS NULL)"
                " AS records,"
                " count(*) FILTER (WHERE kind != 'record' AND dead_because IS NULL) AS progress,"
                " count(dead_because) AS dead,"
                " min(closed_at) FILTER (WHERE kind = 'record' AND dead_because IS NULL) AS oldest"
                " FROM owed o JOIN lesson l ON l.id = o.lesson"
            ).fetchone()
            return Debts(**row) if row else Debts()

        return await self._writer.write(read)

    async def next_owed(self, lesson: str) -> OwedRow | None:
        """Get the oldest row still to be sent of a lesson; unreadable ones are set aside."""

        def read(db: Connection) -> OwedRow | None:
            while row := db.execute(
                "SELECT kind, key, payload, attempts, unsure, not_before, l.*"
                " FROM owed o JOIN lesson l ON l.id = o.lesson"
                " WHERE o.lesson = ? AND o.owner = ? AND dead_because IS NULL"
                " ORDER BY o.id LIMIT 1",
                (lesson, self._host),
            ).fetchone():
                try:
                    return read_owed(row, self._keyring)
                except SealError as error:
                    self._set_aside(db, row, str(error))
            return None

        return await self._writer.insist(read)

    async def mark_sending(self, row: OwedRow) -> bool:
        """Note an attempt before it is made, so that a crash in it is known to be ambiguous.

        False if the row is another host's by now, or was replaced: then it is not to be sent.
        """

        def mark(db: Connection) -> bool:
            is_renewed(db, self._host)
            noted = db.execute(
                "UPDATE owed SET attempts = attempts + 1, unsure = 1 WHERE key = ? AND owner = ?",
                (row.key, self._host),
            )
            return noted.rowcount > 0

        return await self._writer.insist(mark)

    async def mark_delivered(self, row: OwedRow) -> None:
        """Take a row off: the API has it."""
        await self._mark(row, "DELETE FROM owed WHERE key = ?")

    async def postpone(self, row: OwedRow, until: float, *, unsure: bool) -> None:
        """Send a row no earlier than `until`, in unix seconds."""
        change = "UPDATE owed SET not_before = ?, unsure = ? WHERE key = ?"
        await self._mark(row, change, (until, int(unsure)))

    async def mark_dead(
        self, row: OwedRow, because: str, at: float, *, unknown: bool = False
    ) -> None:
        """Set a row aside for good; those behind it go on.

        Args:
            row: The row.
            because: Its reason.
            at: Unix seconds.
            unknown: Whether the API does not know the learner.
        """

        def mark(db: Connection) -> None:
            lesson = row.lesson.id
            sealing = self._sealing_of(db, lesson)
            why = sealing and sealing.seal(because, f"{lesson}.{row.kind}.dead_because")
            db.execute(
                "UPDATE owed SET dead_because = ?, dead_at = ?, unsure = ?, unknown = ?"
                " WHERE key = ?",
                (why, at, int(row.unsure), int(unknown), row.key),
            )

        await self._writer.insist(mark)

    def _sealing_of(self, db: Connection, lesson: str) -> Sealing | None:
        """Get what a lesson is sealed with, and keep it so until the transaction ends."""
        row = db.execute("SELECT key_id FROM lesson WHERE id = ? FOR UPDATE", (lesson,)).fetchone()
        return self._keyring.of(row["key_id"]) if row else None

    def _set_aside(self, db: Connection, row: Row, why: str) -> None:
        kind = row["kind"]
        sealing = self._keyring.of(row["key_id"])
        db.execute(
            "UPDATE owed SET dead_because = ?, dead_at = ? WHERE key = ?",
            (sealing.seal(why, f"{row['id']}.{kind}.dead_because"), time.time(), row["key"]),
        )
        what = "record" if kind == Kind.RECORD else "progress"
        told = log.bind(session_id=row["session_id"], agent_id=row["agent_id"], row=kind)
        told.error(f"{what}.dead", why=why)

    async def _mark(self, row: OwedRow, change: str, values: Sequence[object] = ()) -> None:
        """Change a row, unless it was replaced meanwhile: then its key is another."""
        await self._writer.insist(lambda db: db.execute(change, (*values, row.key)))

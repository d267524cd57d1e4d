"""The outbox: what the API is still to be sent, entry by entry."""

import time
from collections.abc import Mapping

import structlog

from loqua_host.errors import DecryptionError

from .database import DatabaseConnection, Row
from .encryption import Cipher, KeyRing
from .leases import renew_lease
from .queries import QUERIES
from .rows import Backlog, Kind, OutboxRow, read_entry
from .writer import Writer

__all__ = ["Outbox"]

log = structlog.get_logger()

PAGE = 5000
"""Entries that are listed in one transaction, so that other work gets its turn in between."""


class Outbox:
    """What this host is still to send to the API.

    Methods return once their change is on disk. While the ledger is out of reach they retry and log
    it: no entry is given up. Those that change an entry name it by its idempotency key, so that one
    that was replaced meanwhile stays as it is.
    """

    def __init__(self, writer: Writer, keys: KeyRing, host: str) -> None:
        self._writer = writer
        self._keys = keys
        self._host = host

    @property
    def busy_seconds(self) -> float:
        """How long the only connection has been in use."""
        return self._writer.busy_seconds

    @property
    def failures(self) -> int:
        """How often the database failed so far."""
        return self._writer.failures

    async def pending_lessons(self, after: str = "") -> dict[str, float]:
        """Return lessons, by id, of which this host is still to send something; a page at a time.

        Args:
            after: The last lesson of the page before.

        Returns:
            When each is due, in unix seconds; nothing once there are no more.
        """
        values = {"host": self._host, "after": after, "limit": PAGE}

        def read(db: DatabaseConnection) -> dict[str, float]:
            page: dict[str, float] = {}
            for row in db.execute(QUERIES["pending_lessons"], values).fetchall():
                page.setdefault(row["lesson_id"], row["not_before"])  # its entries go in order
            return page

        return await self._writer.write_with_retry(read)

    async def backlog(self) -> Backlog:
        """Count what all hosts of the ledger are still to send; without a retry.

        Raises:
            LedgerError: If the ledger cannot be read now.
        """

        def read(db: DatabaseConnection) -> Backlog:
            row = db.execute(QUERIES["backlog"]).fetchone()
            return Backlog(**row) if row else Backlog()

        return await self._writer.write(read)

    async def next_entry(self, lesson: str) -> OutboxRow | None:
        """Return the oldest pending entry of a lesson; unreadable ones become dead letters."""
        values = {"lesson": lesson, "host": self._host}

        def read(db: DatabaseConnection) -> OutboxRow | None:
            while row := db.execute(QUERIES["next_entry"], values).fetchone():
                try:
                    return read_entry(row, self._keys)
                except DecryptionError as error:
                    self._dead_letter_unreadable(db, row, str(error))
            return None

        return await self._writer.write_with_retry(read)

    async def mark_sending(self, entry: OutboxRow) -> bool:
        """Note an attempt before it is made, so that a crash in it is known to be ambiguous.

        Return False if the entry is another host's by now, or was replaced: then do not send it.
        The lease is renewed first: it outlasts the call, so no other host sends meanwhile.
        """
        values = {"idempotency_key": entry.idempotency_key, "host": self._host}

        def mark(db: DatabaseConnection) -> bool:
            renew_lease(db, self._host)
            return db.execute(QUERIES["mark_sending"], values).rowcount > 0

        return await self._writer.write_with_retry(mark)

    async def mark_delivered(self, entry: OutboxRow) -> None:
        """Delete an entry: the API has it."""
        await self._change(entry, QUERIES["delete_entry"], {})

    async def postpone(self, entry: OutboxRow, until: float, *, maybe_delivered: bool) -> None:
        """Send an entry no earlier than `until`, in unix seconds."""
        values = {"not_before": until, "maybe_delivered": int(maybe_delivered)}
        await self._change(entry, QUERIES["postpone_entry"], values)

    async def dead_letter(
        self, entry: OutboxRow, reason: str, at: float, *, unknown_learner: bool = False
    ) -> None:
        """Make an entry a dead letter; those behind it go on.

        The reason is encrypted with the lesson's key of this moment, which the lock on the lesson
        keeps as it is until the transaction ends.

        Args:
            entry: The entry.
            reason: Why it is not sent any more.
            at: Unix seconds.
            unknown_learner: Whether the API does not know the learner.
        """
        lesson = entry.lesson.id

        def write(db: DatabaseConnection) -> None:
            cipher = self._lock_cipher(db, lesson)
            values = {
                "reason": cipher and cipher.encrypt(reason, _reason_field(lesson, entry.kind)),
                "dead_at": at,
                "maybe_delivered": int(entry.maybe_delivered),
                "unknown_learner": int(unknown_learner),
                "idempotency_key": entry.idempotency_key,
            }
            db.execute(QUERIES["dead_letter"], values)

        await self._writer.write_with_retry(write)

    def _lock_cipher(self, db: DatabaseConnection, lesson: str) -> Cipher | None:
        """Return a lesson's cipher, the same until the transaction ends; None if it was deleted."""
        row = db.execute(QUERIES["lock_lesson_key"], {"lesson": lesson}).fetchone()
        return self._keys.cipher(row["key_id"]) if row else None

    def _dead_letter_unreadable(self, db: DatabaseConnection, row: Row, why: str) -> None:
        kind = row["kind"]
        cipher = self._keys.cipher(row["key_id"])
        values = {
            "reason": cipher.encrypt(why, _reason_field(row["id"], kind)),
            "dead_at": time.time(),
            "idempotency_key": row["idempotency_key"],
        }
        db.execute(QUERIES["dead_letter_unreadable"], values)
        what = "record" if kind == Kind.RECORD else "progress"
        bound = log.bind(session_id=row["session_id"], agent_id=row["agent_id"], row=kind)
        bound.error(f"{what}.dead", why=why)

    async def _change(self, entry: OutboxRow, query: str, values: Mapping[str, object]) -> None:
        named = {**values, "idempotency_key": entry.idempotency_key}
        await self._writer.write_with_retry(lambda db: db.execute(query, named))


def _reason_field(lesson: str, kind: str) -> str:
    return f"{lesson}.{kind}.dead_reason"

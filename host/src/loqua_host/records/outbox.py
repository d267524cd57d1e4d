"""The outbox: undelivered records and progress."""

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
"""Maximum of entries listed in one transaction, so that other work runs in between."""


class Outbox:
    """The undelivered entries that this host owns.

    Methods return when their change is committed. While the ledger is unreachable, they log and
    retry. They identify an entry by its idempotency key, so that an entry that has been replaced
    meanwhile does not change.
    """

    def __init__(self, writer: Writer, keys: KeyRing, host: str) -> None:
        self._writer = writer
        self._keys = keys
        self._host = host

    @property
    def busy_seconds(self) -> float:
        """The seconds for which the only connection has been busy."""
        return self._writer.busy_seconds

    @property
    def failures(self) -> int:
        """The number of failures of the database."""
        return self._writer.failures

    async def pending_lessons(self, after: str = "") -> dict[str, float]:
        """Return a page of this host's lessons with pending entries.

        Args:
            after: The last lesson of the previous page.

        Returns:
            When each lesson is due, in Unix seconds, by id; empty after the last page.
        """
        values = {"host": self._host, "after": after, "limit": PAGE}

        def read(db: DatabaseConnection) -> dict[str, float]:
            page: dict[str, float] = {}
            for row in db.execute(QUERIES["pending_lessons"], values).fetchall():
                # the lesson's first entry decides
                page.setdefault(row["lesson_id"], row["not_before"])
            return page

        return await self._writer.write_with_retry(read)

    async def backlog(self) -> Backlog:
        """Return the backlog of all hosts that share the ledger, without a retry.

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
        """Save an attempt before it is made, so that after a crash it counts as maybe delivered.

        This renews the lease first. The lease outlasts the call, so no other host sends meanwhile.

        Returns:
            False if another host owns the entry, or it was replaced. Do not send it then.
        """
        values = {"idempotency_key": entry.idempotency_key, "host": self._host}

        def mark(db: DatabaseConnection) -> bool:
            renew_lease(db, self._host)
            return db.execute(QUERIES["mark_sending"], values).rowcount > 0

        return await self._writer.write_with_retry(mark)

    async def mark_delivered(self, entry: OutboxRow) -> bool:
        """Delete an entry that the API has accepted; return whether its lesson has others."""
        named = {"idempotency_key": entry.idempotency_key}
        others = {"lesson": entry.lesson.id, "host": self._host}

        def delete(db: DatabaseConnection) -> bool:
            db.execute(QUERIES["delete_entry"], named)
            return db.execute(QUERIES["next_entry"], others).fetchone() is not None

        return await self._writer.write_with_retry(delete)

    async def postpone(self, entry: OutboxRow, until: float, *, maybe_delivered: bool) -> None:
        """Postpone an entry until a time in Unix seconds."""
        values = {"not_before": until, "maybe_delivered": int(maybe_delivered)}
        await self._change(entry, QUERIES["postpone_entry"], values)

    async def dead_letter(
        self, entry: OutboxRow, reason: str, at: float, *, unknown_learner: bool = False
    ) -> None:
        """Make an entry a dead letter; later entries of the lesson continue.

        The reason is encrypted with the lesson's current key. The lock on the lesson prevents a
        concurrent re-encryption.

        Args:
            entry: The entry.
            reason: Why it is not sent again.
            at: The time in Unix seconds.
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
        """Lock a lesson and return its cipher; None if the lesson was deleted."""
        row = db.execute(QUERIES["lock_lesson_key"], {"lesson": lesson}).fetchone()
        return self._keys.cipher(row["key_id"]) if row else None

    def _dead_letter_unreadable(self, db: DatabaseConnection, row: Row, why: str) -> None:
        kind = row["kind"]
        cipher = self._keys.cipher(row["key_id"])
        values = {
            "reason": cipher.encrypt(why, _reason_field(row["id"], kind)),
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

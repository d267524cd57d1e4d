"""The ledger: lessons, and the outbox of what the API is still to be sent.

One writer thread, and each change one transaction: what a method returned for is on disk. What
the ledger says of learners is encrypted.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog
from pydantic import JsonValue

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.errors import DecryptionError, LedgerError

from . import leases
from .database import Database, DatabaseConnection, Row
from .encryption import KeyRing
from .leases import LeaseClaims
from .opening import ALREADY_TAUGHT, CRASH_LOOP, MAX_CRASHES, open_or_resume
from .outbox import Outbox
from .queries import QUERIES
from .reencryption import reencrypt, reencrypt_spool
from .rows import Backlog, Kind, LessonRow, OutboxRow, Purged, read_lesson
from .spool import Spool
from .updates import LessonEnd, LessonProgress, LessonUpdate, apply
from .writer import Writer

__all__ = [
    "ALREADY_TAUGHT",
    "CRASH_LOOP",
    "MAX_CRASHES",
    "Backlog",
    "Kind",
    "LeaseClaims",
    "Ledger",
    "LessonRow",
    "OutboxRow",
    "Purged",
]

log = structlog.get_logger()


class Ledger(Outbox):
    """Lessons and the outbox. Methods return once their change is on disk.

    While the database fails, they retry and log it; updates of lessons wait in the spool, and what
    a learner waits for raises instead. What keeps several hosts apart is in leases.py.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: Database,
        *,
        keys: Sequence[str] = (),
        plaintext: bool = True,
        spool: Path | None = None,
        retry_every: float = 5.0,
    ) -> AsyncIterator["Ledger"]:
        """Open the ledger in a database; make, migrate and re-encrypt it if need be.

        Args:
            database: The database.
            keys: The key that learners' data is encrypted with, then others it may be encrypted
                with; without any, data is stored as it is.
            plaintext: Whether to trust what is not encrypted, as a host without a key leaves it.
            spool: The directory in which updates of lessons wait for a database that is out of
                reach; without one, lessons wait for it themselves.
            retry_every: Seconds between attempts while the database fails.

        Raises:
            LedgerError: If the database cannot be opened, is no ledger, is another host's alone
                or is encrypted with another key.
        """
        ring, host = KeyRing(keys, plaintext=plaintext), uuid4().hex
        async with Writer.open(database, retry_every) as writer:
            if lessons := await reencrypt(writer.write, ring):
                log.info("ledger.reencrypted", lessons=lessons, key_id=ring.current.key_id)
            await writer.write(lambda db: leases.renew_lease(db, host))
            with nullcontext() if spool is None else Spool.open(spool, ring) as opened:
                try:
                    yield cls(writer, ring, host, opened, retry_every)
                finally:
                    await _end_lease(writer, host)

    def __init__(
        self, writer: Writer, keys: KeyRing, host: str, spool: Spool | None, retry_every: float
    ) -> None:
        super().__init__(writer, keys, host)
        self._spool = spool
        self._retry_every = retry_every

    @property
    def spooled(self) -> int:
        """How many updates of lessons wait for the database."""
        return self._spool.waiting if self._spool else 0

    async def open_lesson(self, lesson: LessonRow, agent_name: str) -> LessonRow:
        """Open a lesson for a job that is there, or return the interrupted one to resume.

        The first lesson of a visit has the visit's id as its `session_id`; a later one has its
        tutor's agent name added (its name, if it has none), and a number from the second of these
        on: one that no other lesson has.

        Raises:
            LearnerError: If the room has this tutor already, at whatever host, or the tutor was
                given up since the learner came in.
            LedgerError: If it cannot be written now.
        """
        return await self._writer.write(
            lambda db: open_or_resume(db, self._keys, self._host, lesson, agent_name)
        )

    async def save_progress(
        self,
        lesson: LessonRow,
        seconds: float,
        progress: Progress | None,
        state: dict[str, JsonValue],
        *,
        send: bool = True,
    ) -> None:
        """Save how far a lesson has come; a closed lesson stays as its record says.

        Args:
            lesson: The lesson.
            seconds: What was taught.
            progress: The last progress, if there was any.
            state: What a restored tutor gets.
            send: Whether the progress is new: it is sent in place of an older unsent one.
        """
        await self._save(
            LessonProgress(
                host=self._host,
                lesson=lesson.id,
                restarts=lesson.restarts,
                seconds=seconds,
                progress=progress,
                state=state,
                send=send and progress is not None,
            )
        )

    async def close_lesson(
        self,
        lesson: LessonRow,
        closed_at: float,
        status: Kind,
        progress: Progress | None,
        record: SessionRecord,
        reasons: Sequence[str] = (),
        *,
        interrupted: bool = False,
    ) -> None:
        """Close a lesson: final progress and record in one transaction, once.

        Args:
            lesson: The lesson.
            closed_at: Unix seconds.
            status: COMPLETED or FAILED, for the final progress.
            progress: The progress the lesson ended with, if it made any.
            record: The lesson's record.
            reasons: Why the record says what the host derived, for people.
            interrupted: Whether it ended without its tutor.
        """
        await self._save(
            LessonEnd(
                host=self._host,
                lesson=lesson.id,
                restarts=lesson.restarts,
                entry=lesson.entry,
                closed_at=closed_at,
                status=status,
                progress=progress,
                record=record,
                reasons=tuple(reasons),
                interrupted=interrupted,
            )
        )

    async def interrupt(self, lesson: LessonRow) -> None:
        """Note that a lesson lost its job: it may be resumed, by whatever host gets the next.

        How often its tutor has crashed is saved, too.
        """
        crashes = {"crashes": lesson.crashes, "lesson": lesson.id, "restarts": lesson.restarts}

        def write(db: DatabaseConnection) -> None:
            db.execute(QUERIES["save_crashes"], crashes)
            leases.release_claim(db, self._host, lesson.id)

        await self._writer.write_with_retry(write)

    async def release(self, lesson: LessonRow) -> None:
        """Release an interrupted lesson and its entries to the next host that recovers."""
        await self._writer.write_with_retry(lambda db: leases.release(db, self._host, lesson.id))

    async def renew(self) -> bool:
        """Renew this host's lease; return False if it had run out.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.renew_lease(db, self._host))

    async def take_over(self, tutors: Collection[str]) -> int:
        """Renew this host's lease and own what dead hosts left; return how many lessons.

        To be called several times within a lease. An open lesson of a tutor that is not among
        `tutors`, those that run here, is left to other hosts for a minute.

        When the ledger was out of reach, all leases ran out: then this only renews, and hosts that
        live renew theirs before anybody takes over.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        if not await self.renew():
            return 0
        taken = 0
        while some := await self._writer.write(lambda db: leases.take_over(db, self._host, tutors)):
            taken += some
        return taken

    async def is_shared(self) -> bool:
        """Return whether other hosts live on this ledger.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.is_shared(db, self._host))

    async def interrupted(self) -> list[LessonRow]:
        """Return this host's open lessons that no job teaches, oldest first; log unreadable ones.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        rows = await self._writer.write(lambda db: leases.interrupted_lessons(db, self._host))
        return [lesson for row in rows if (lesson := self._read(row)) is not None]

    async def claim(self, room: str, tutor: str, seconds: float, *, arrived: bool = False) -> bool:
        """Claim a tutor of a room for a time; return False if the room has one, or one is called.

        Args:
            room: The room.
            tutor: The tutor's name.
            seconds: How long other hosts call none.
            arrived: Whether there is a job for it already.

        Raises:
            LedgerError: If it cannot be written now.
        """
        return await self._writer.write(
            lambda db: leases.claim(
                db, self._host, room=room, tutor=tutor, seconds=seconds, arrived=arrived
            )
        )

    async def claims_in(self, room: str) -> LeaseClaims:
        """Return the tutors that other hosts have in a room, or bring there."""
        return await self._writer.write_with_retry(
            lambda db: leases.claims_of_others(db, self._host, room)
        )

    async def save_entry(self, lesson: str, entry: str) -> None:
        """Save that the learner of a lesson has entered the room again."""
        values = {"lesson": lesson, "entry": entry}
        await self._writer.write_with_retry(lambda db: db.execute(QUERIES["save_entry"], values))

    async def refuse(self, room: str, entry: str, tutor: str) -> None:
        """Save that a learner was refused, for this entry into the room."""
        values = {"room": room, "entry": entry, "tutor": tutor}
        await self._writer.write_with_retry(
            lambda db: db.execute(QUERIES["insert_refusal"], values)
        )

    async def closed_entries(self, room: str) -> set[tuple[str, str]]:
        """Return the entries into a room, each with the tutor, whose lesson was closed or refused.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """

        def read(db: DatabaseConnection) -> set[tuple[str, str]]:
            rows = db.execute(QUERIES["closed_entries"], {"room": room}).fetchall()
            return {(row["entry"], row["tutor"]) for row in rows}

        return await self._writer.write(read)

    async def purge(
        self, *, delivered_before: float, dead_before: float, unknown_before: float
    ) -> Purged:
        """Delete what became a dead letter, or was closed and delivered, before a time.

        Times are unix seconds; that of learners whom the API does not know is one of its own.
        Other work gets its turn between a thousand and the next.
        """
        await self._writer.write_with_retry(leases.delete_expired)
        letters = QUERIES["delete_dead_letters"]
        dead = await self._delete(letters, {"dead_before": dead_before, "unknown_learner": 0})
        dead += await self._delete(letters, {"dead_before": unknown_before, "unknown_learner": 1})
        lessons = await self._delete(
            QUERIES["delete_delivered_lessons"], {"closed_before": delivered_before}
        )
        return Purged(lessons=lessons, dead=dead)

    async def _delete(self, query: str, values: Mapping[str, object]) -> int:
        deleted = 0
        while some := await self._writer.write_with_retry(
            lambda db: db.execute(query, values).rowcount
        ):
            deleted += some
        return deleted

    def use_keys(self, keys: Sequence[str]) -> bool:
        """Encrypt with the first from now on, and read with all; return whether it is another."""
        return self._keys.use(keys)

    async def reencrypt(self) -> None:
        """Encrypt with the newest key all that is there; retry what fails, beside the lessons."""
        if self._spool is not None:
            await reencrypt_spool(self._spool, self._retry_every)
        lessons = await reencrypt(self._writer.write_with_retry, self._keys)
        log.info("ledger.reencrypted", lessons=lessons, key_id=self._keys.current.key_id)

    async def replay(self) -> int:
        """Write what waits in the spool; return how many updates.

        Raises:
            LedgerError: If the ledger cannot be reached yet; what is not written still waits.
        """
        if self._spool is None:
            return 0
        updates = self._spool.updates()
        for update in updates:
            await self._apply(update)
            await self._unspool(self._spool, update)
        return len(updates)

    async def _unspool(self, spool: Spool, update: LessonUpdate) -> None:
        try:
            await asyncio.to_thread(spool.remove, update)
        except OSError as error:
            raise LedgerError(f"ledger.spool: {error}; see that directory") from error

    async def _save(self, update: LessonUpdate) -> None:
        """Write an update to the ledger, or to the spool behind what waits there already."""
        while True:
            try:
                if not self.spooled:
                    return await self._apply(update)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            try:
                if self._spool is not None:
                    return await asyncio.to_thread(self._spool.add, update)
            except OSError as error:
                log.error("spool.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def _apply(self, update: LessonUpdate) -> None:
        if not await self._writer.write(partial(apply, self._keys, self._host, update)):
            log.warning("lesson.update_discarded", lesson=update.lesson, what=update.what)

    def _read(self, row: Row) -> LessonRow | None:
        try:
            return read_lesson(row, self._keys)
        except DecryptionError as error:
            ids = {name: row[name] for name in ("agent_id", "session_id", "room")}
            log.error("lesson.unreadable", why=str(error), **ids)
            return None


async def _end_lease(writer: Writer, host: str) -> None:
    try:
        await writer.write(lambda db: leases.end_lease(db, host))
    except LedgerError as error:
        log.error("ledger.failed", why=str(error))

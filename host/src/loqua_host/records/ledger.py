"""The ledger: lessons and what is owed to the API.

One writer thread, and each change one transaction: what a method returned for is on disk. What
the ledger says of learners is sealed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import structlog
from pydantic import JsonValue

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.errors import LedgerError, SealError

from . import leases
from .database import Connection, Database, Row
from .leases import Claims
from .notes import End, Note, Tick, put
from .opening import ALREADY_TAUGHT, CRASH_LOOP, MAX_CRASHES, open_or_resume
from .outbox import Outbox
from .reseal import reseal, reseal_spool
from .rows import Debts, Kind, LessonRow, OwedRow, Purged, read_lesson
from .seal import Keyring
from .spool import Spool
from .writer import Writer

__all__ = [
    "ALREADY_TAUGHT",
    "CRASH_LOOP",
    "MAX_CRASHES",
    "Claims",
    "Debts",
    "Kind",
    "Ledger",
    "LessonRow",
    "OwedRow",
    "Purged",
]

T = TypeVar("T")

log = structlog.get_logger()


class Ledger(Outbox):
    """Lessons and what is owed. Methods return once their change is on disk.

    While the database fails, they wait for it and say so in the log; what lessons tell waits in
    the spool for them, and those that a learner waits for raise instead. What keeps several hosts
    apart is in leases.py.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: Database,
        *,
        keys: Sequence[str] = (),
        unsealed: bool = True,
        spool: Path | None = None,
        retry_every: float = 5.0,
    ) -> AsyncIterator["Ledger"]:
        """Open the ledger in a database, made and brought to the newest form and key if need be.

        Args:
            database: Where it is.
            keys: The key that learners' data is sealed with, then others it may be sealed with;
                without any, data is kept as it is.
            unsealed: Whether to believe what is not sealed, as a host without a key leaves it.
            spool: The directory in which progress and ends of lessons wait for a database that
                is out of reach; without one, lessons wait for it themselves.
            retry_every: Seconds between attempts while the database fails.

        Raises:
            LedgerError: If the database cannot be opened, is no ledger, is another host's alone
                or is sealed with another key.
        """
        keyring, host = Keyring(keys, unsealed=unsealed), uuid4().hex
        async with Writer.open(database, retry_every) as writer:
            if lessons := await reseal(writer.write, keyring):
                log.info("ledger.resealed", lessons=lessons, key_id=keyring.current.key_id)
            await writer.write(lambda db: leases.is_renewed(db, host))
            with nullcontext() if spool is None else Spool.open(spool, keyring) as opened:
                try:
                    yield cls(writer, keyring, host, opened, retry_every)
                finally:
                    await _leave(writer, host)

    def __init__(
        self, writer: Writer, keyring: Keyring, host: str, spool: Spool | None, retry_every: float
    ) -> None:
        super().__init__(writer, keyring, host)
        self._spool = spool
        self._retry_every = retry_every

    @property
    def spooled(self) -> int:
        """How many notes of lessons wait for the database."""
        return self._spool.waiting if self._spool else 0

    async def open_lesson(self, lesson: LessonRow, agent_name: str) -> LessonRow:
        """Open a lesson for a job that is there, or get the interrupted one to go on with.

        The first lesson of a visit has the visit's id as its `session_id`; a later one has its
        tutor's agent name added (its name, if it has none), and a number from the second of these
        on: one that no other lesson has.

        Raises:
            LearnerError: If the room has this tutor already, at whatever host, or the tutor was
                given up since the learner came in.
            LedgerError: If it cannot be written now.
        """
        return await self._writer.write(
            lambda db: open_or_resume(db, self._keyring, self._host, lesson, agent_name)
        )

    async def keep_progress(
        self,
        lesson: LessonRow,
        seconds: float,
        progress: Progress | None,
        state: dict[str, JsonValue],
        *,
        owed: bool = True,
    ) -> None:
        """Keep how far a lesson has come; what is closed already stays as its record says.

        Args:
            lesson: The lesson.
            seconds: What was taught.
            progress: The last progress, if there was any.
            state: What a restored tutor gets.
            owed: Whether the progress is new: it is owed in place of an older unsent one.
        """
        await self._note(
            Tick(
                host=self._host,
                lesson=lesson.id,
                restarts=lesson.restarts,
                seconds=seconds,
                progress=progress,
                state=state,
                owed=owed and progress is not None,
            )
        )

    async def close_lesson(
        self,
        lesson: LessonRow,
        closed_at: float,
        status: Kind,
        progress: Progress | None,
        record: SessionRecord,
        because: Sequence[str] = (),
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
            because: Why the record says what the host derived, for people.
            interrupted: Whether it ended without its tutor.
        """
        await self._note(
            End(
                host=self._host,
                lesson=lesson.id,
                restarts=lesson.restarts,
                entry=lesson.entry,
                closed_at=closed_at,
                status=status,
                progress=progress,
                record=record,
                because=tuple(because),
                interrupted=interrupted,
            )
        )

    async def interrupt(self, lesson: LessonRow) -> None:
        """Note that a lesson lost its job: it may be restored, by whatever host gets the next.

        How often its tutor has crashed is kept, too.
        """

        def note(db: Connection) -> None:
            db.execute(
                "UPDATE lesson SET crashes = ? WHERE id = ? AND restarts = ?",
                (lesson.crashes, lesson.id, lesson.restarts),
            )
            leases.free(db, self._host, lesson.id)

        await self._writer.insist(note)

    async def release(self, lesson: LessonRow) -> None:
        """Leave an interrupted lesson, and what it owes, to the next host that looks."""
        await self._writer.insist(lambda db: leases.release(db, self._host, lesson.id))

    async def renew(self) -> bool:
        """Renew this host's lease; False if it had run out.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.is_renewed(db, self._host))

    async def adopt(self, tutors: Collection[str]) -> int:
        """Renew this host's lease and own what dead hosts left; gives how many lessons.

        To be called several times within a lease. An open lesson of a tutor that is not among
        `tutors`, those that run here, is left to other hosts for a minute.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        # When the ledger was out of reach, all leases ran out: those who live renew theirs first.
        if not await self.renew():
            return 0
        taken = 0
        while some := await self._writer.write(lambda db: leases.adopt(db, self._host, tutors)):
            taken += some
        return taken

    async def is_shared(self) -> bool:
        """Say whether other hosts live on this ledger.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.is_shared(db, self._host))

    async def interrupted(self) -> list[LessonRow]:
        """List this host's open lessons that no job teaches, oldest first; unreadable are logged.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        rows = await self._writer.write(lambda db: leases.interrupted(db, self._host))
        return [lesson for row in rows if (lesson := self._read(row)) is not None]

    async def claim(self, room: str, tutor: str, seconds: float, *, arrived: bool = False) -> bool:
        """Claim a tutor of a room for a time; False if the room has one, or one is called.

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

    async def claims_in(self, room: str) -> Claims:
        """Get the tutors that other hosts have in a room, or bring there."""
        return await self._writer.insist(lambda db: leases.claims_in(db, self._host, room))

    async def follow_learner(self, lesson: str, entry: str) -> None:
        """Keep that the learner of a lesson has entered the room again."""
        await self._writer.insist(
            lambda db: db.execute("UPDATE lesson SET entry = ? WHERE id = ?", (entry, lesson))
        )

    async def refuse(self, room: str, entry: str, tutor: str) -> None:
        """Note that a learner was refused, for this entry into the room."""
        await self._writer.insist(
            lambda db: db.execute(
                "INSERT INTO refusal (room, entry, tutor, at) VALUES (?, ?, ?, unix_now())"
                " ON CONFLICT (room, entry, tutor) DO NOTHING",
                (room, entry, tutor),
            )
        )

    async def settled_in(self, room: str) -> set[tuple[str, str]]:
        """Get the entries into a room, each with the tutor, whose lesson was closed or refused.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """

        def read(db: Connection) -> set[tuple[str, str]]:
            rows = db.execute(
                "SELECT entry, tutor FROM lesson WHERE room = ? AND closed_at IS NOT NULL"
                " UNION SELECT entry, tutor FROM refusal WHERE room = ?",
                (room, room),
            )
            return {(row["entry"], row["tutor"]) for row in rows.fetchall()}

        return await self._writer.write(read)

    async def purge(
        self, *, delivered_before: float, dead_before: float, unknown_before: float
    ) -> Purged:
        """Forget rows set aside before a time, and lessons closed before one that owe nothing.

        Times are unix seconds; that of learners whom the API does not know is one of its own.
        Other work gets its turn between a thousand and the next.
        """
        await self._writer.insist(leases.forget)
        text = (
            "DELETE FROM owed WHERE id IN (SELECT id FROM owed WHERE dead_at < ? AND unknown >= ?"
            " LIMIT 1000 FOR UPDATE SKIP LOCKED)"
        )
        dead = await self._delete(text, dead_before, 0)
        dead += await self._delete(text, unknown_before, 1)
        lessons = await self._delete(
            "DELETE FROM lesson WHERE id IN (SELECT id FROM lesson WHERE closed_at < ? AND NOT"
            " EXISTS (SELECT 1 FROM owed WHERE lesson = lesson.id)"
            " LIMIT 1000 FOR UPDATE SKIP LOCKED)",
            delivered_before,
        )
        return Purged(lessons=lessons, dead=dead)

    async def _delete(self, change: str, *values: float) -> int:
        gone = 0
        while some := await self._writer.insist(lambda db: db.execute(change, values).rowcount):
            gone += some
        return gone

    def adopt_keys(self, keys: Sequence[str]) -> bool:
        """Seal with the first from now on, and read with all; True if it is another than before."""
        return self._keyring.adopt(keys)

    async def reseal(self) -> None:
        """Seal with the newest key all that is there; it waits for what fails, lessons do not."""
        if self._spool is not None:
            await reseal_spool(self._spool, self._retry_every)
        lessons = await reseal(self._writer.insist, self._keyring)
        log.info("ledger.resealed", lessons=lessons, key_id=self._keyring.current.key_id)

    async def replay(self) -> int:
        """Write what waits in the spool; gives how many notes.

        Raises:
            LedgerError: If the ledger cannot be reached yet; what is not written still waits.
        """
        if self._spool is None:
            return 0
        notes = self._spool.notes()
        for note in notes:
            await self._put(note)
            await self._forget(self._spool, note)
        return len(notes)

    async def _forget(self, spool: Spool, note: Note) -> None:
        try:
            await asyncio.to_thread(spool.remove, note)
        except OSError as error:
            raise LedgerError(f"ledger.spool: {error}; see that directory") from error

    async def _note(self, note: Note) -> None:
        """Have a note in the ledger, or in the spool behind what waits there already."""
        while True:
            try:
                if not self.spooled:
                    return await self._put(note)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            try:
                if self._spool is not None:
                    return await asyncio.to_thread(self._spool.add, note)
            except OSError as error:
                log.error("spool.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def _put(self, note: Note) -> None:
        if not await self._writer.write(partial(put, self._keyring, self._host, note)):
            log.warning("lesson.went_on", lesson=note.lesson, dropped=note.what)

    def _read(self, row: Row) -> LessonRow | None:
        try:
            return read_lesson(row, self._keyring)
        except SealError as error:
            ids = {name: row[name] for name in ("agent_id", "session_id", "room")}
            log.error("lesson.unreadable", why=str(error), **ids)
            return None


async def _leave(writer: Writer, host: str) -> None:
    try:
        await writer.write(lambda db: leases.resign(db, host))
    except LedgerError as error:
        log.error("ledger.failed", why=str(error))

"""The ledger: lessons, and the outbox of undelivered records and progress.

One thread writes, and each change is one transaction, committed when its method returns. Learners'
data is encrypted.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog
from pydantic import JsonValue

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.errors import DecryptionError, LedgerError

from . import leases, regions
from .database import Database, DatabaseConnection, Row
from .encryption import KeyRing
from .handoffs import hand_back, handbacks_in
from .leases import LeaseClaims
from .opening import ALREADY_TAUGHT, CRASH_LOOP, MAX_CRASHES, open_or_resume
from .outbox import Outbox
from .queries import QUERIES
from .reencryption import reencrypt, reencrypt_spool
from .regions import RegionReport, RegionState
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
    """Lessons and the outbox. Methods return when their change is committed.

    While the database fails, they log and retry; updates of lessons wait in the spool. Methods that
    a learner waits for raise instead. leases.py coordinates several hosts.
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
        """Open the ledger in a database; create, migrate and re-encrypt it if needed.

        Args:
            database: The database.
            keys: The key for learners' data, then previous keys of existing data; without any,
                data is not encrypted.
            plaintext: Whether to trust unencrypted data, which a host without a key writes.
            spool: The directory for updates of lessons while the database is unreachable; without
                one, lessons wait for the database.
            retry_every: Seconds between attempts while the database fails.

        Raises:
            LedgerError: If the database cannot be opened, is not a ledger, belongs to another
                host, or is encrypted with another key.
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
    def keys(self) -> KeyRing:
        """The keys of learners' data."""
        return self._keys

    @property
    def spooled(self) -> int:
        """The number of lessons' updates that wait for the database."""
        return self._spool.waiting if self._spool else 0

    @property
    def responsive(self) -> bool:
        """Whether the database was reached at the last attempt and does not take long now."""
        return self._writer.responsive

    async def open_lesson(self, lesson: LessonRow, agent_name: str) -> LessonRow:
        """Open a lesson for a job that has joined, or return the interrupted one to resume.

        The first lesson of a visit has the visit's id as its `session_id`. Later ones append the
        tutor's agent name (or its name), and from the second of these on a number, to be unique.

        Raises:
            LearnerError: If the room already has this tutor, on any host, or the tutor was given
                up since the learner entered.
            LedgerError: If the ledger is unreachable.
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
        """Save the progress of an open lesson; a closed one does not change.

        Args:
            lesson: The lesson.
            seconds: The seconds taught.
            progress: The last progress, if there is any.
            state: The saved state for a restored tutor.
            send: Whether the progress is new and must be sent, replacing an older unsent one.
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
        handback: Handback | None = None,
    ) -> None:
        """Close a lesson: final progress and record in one transaction, once.

        Args:
            lesson: The lesson.
            closed_at: Unix seconds.
            status: COMPLETED or FAILED, for the final progress.
            progress: The progress the lesson ended with, if it made any.
            record: The lesson's record.
            reasons: The reasons for values that the host derived.
            interrupted: Whether it ended without its tutor.
            handback: The result for the lesson that called this one, if one did.
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
                handback=handback,
            )
        )

    async def interrupt(self, lesson: LessonRow) -> None:
        """Save that a lesson lost its job, with its crashes, so that any host may resume it."""
        crashes = {"crashes": lesson.crashes, "lesson": lesson.id, "restarts": lesson.restarts}

        def write(db: DatabaseConnection) -> None:
            db.execute(QUERIES["save_crashes"], crashes)
            leases.release_claim(db, self._host, lesson.id)

        await self._writer.write_with_retry(write)

    async def release(self, lesson: LessonRow) -> None:
        """Release an interrupted lesson and its entries to other hosts."""
        await self._writer.write_with_retry(lambda db: leases.release(db, self._host, lesson.id))

    async def renew(self) -> bool:
        """Renew this host's lease; return False if it had expired.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.renew_lease(db, self._host))

    async def report_region(self, report: RegionReport) -> RegionState | None:
        """Report this host's region with its lease, and return which region teaches.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: regions.report(db, self._host, report))

    async def take_over(self, tutors: Collection[str]) -> int:
        """Renew this host's lease and take over dead hosts' lessons; return how many.

        Call this several times within a lease. Open lessons of other tutors than `tutors`, which
        run here, are left to other hosts for a minute.

        After an outage of the ledger, all leases have expired: then this only renews the lease, so
        that living hosts can renew theirs before any takeover.

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
        """Return whether other living hosts share this ledger.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: leases.is_shared(db, self._host))

    async def exchange_tutors(self, tutors: Mapping[str, str]) -> Mapping[str, str]:
        """Report the tutors that take jobs here, and return other hosts' specialists.

        Both are agent names by tutor.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """

        def write(db: DatabaseConnection) -> dict[str, str]:
            leases.report_tutors(db, self._host, tutors)
            return leases.specialists_of_others(db, self._host)

        return await self._writer.write(write)

    async def call_specialist(self, lesson: LessonRow, tutor: str) -> None:
        """Save that a lesson calls a specialist, so that its result can be written to the lesson.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        values = {"lesson": lesson.id, "restarts": lesson.restarts, "tutor": tutor}
        await self._writer.write(lambda db: db.execute(QUERIES["call_specialist"], values))

    async def handbacks(self, room: str) -> Mapping[str, Handback]:
        """Return the results that wait for lessons in a room, by the specialist's tutor name.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        return await self._writer.write(lambda db: handbacks_in(db, self._keys, room))

    async def end_call(self, lesson: LessonRow, tutor: str) -> None:
        """Forget a call of a specialist, whose result the lesson has."""
        values = {"lesson": lesson.id, "tutor": tutor}
        await self._writer.write_with_retry(lambda db: db.execute(QUERIES["end_call"], values))

    async def interrupted(self) -> list[LessonRow]:
        """Return this host's open lessons that no job teaches, oldest first; log unreadable ones.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        rows = await self._writer.write(lambda db: leases.interrupted_lessons(db, self._host))
        return [lesson for row in rows if (lesson := self._read(row)) is not None]

    async def claim(self, room: str, tutor: str, seconds: float, *, arrived: bool = False) -> bool:
        """Claim a tutor of a room; return False if the room has one, or one is dispatched.

        Args:
            room: The room.
            tutor: The tutor's name.
            seconds: How long other hosts do not dispatch this tutor.
            arrived: Whether there is already a job.

        Raises:
            LedgerError: If it cannot be written now.
        """
        return await self._writer.write(
            lambda db: leases.claim(
                db, self._host, room=room, tutor=tutor, seconds=seconds, arrived=arrived
            )
        )

    async def release_claims(self, is_taught: Callable[[str, str], bool]) -> int:
        """Release this host's claims for lessons that no job teaches here; return how many.

        A lesson may have been opened although its job was refused: the database committed,
        and its answer was lost. Without its claim, the lesson counts as interrupted.

        Args:
            is_taught: Returns whether a job teaches, or is about to, in this room with this tutor.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        values = {"host": self._host}
        claims = await self._writer.write(
            lambda db: db.execute(QUERIES["taught_claims"], values).fetchall()
        )
        stale = [row["lesson_id"] for row in claims if not is_taught(row["room"], row["tutor"])]
        for lesson in stale:
            await self._writer.write(partial(leases.release_claim, host=self._host, lesson=lesson))
        return len(stale)

    async def claims_in(self, rooms: Collection[str]) -> dict[str, LeaseClaims]:
        """Return the tutors that other hosts have in rooms, or dispatch there, by room."""
        return await self._writer.write_with_retry(
            lambda db: leases.claims_of_others(db, self._host, rooms)
        )

    async def save_entry(self, lesson: str, entry: str) -> None:
        """Save that the learner of a lesson has entered the room again."""
        values = {"lesson": lesson, "entry": entry}
        await self._writer.write_with_retry(lambda db: db.execute(QUERIES["save_entry"], values))

    async def refuse(self, room: str, entry: str, tutor: str) -> None:
        """Save that a learner was refused, for this entry into the room."""
        values = {"room": room, "entry": entry, "tutor": tutor}
        failed = Handback(outcome="failed")

        def write(db: DatabaseConnection) -> None:
            db.execute(QUERIES["insert_refusal"], values)
            hand_back(db, self._keys, room=room, tutor=tutor, handback=failed)

        await self._writer.write_with_retry(write)

    async def closed_entries(self, rooms: Collection[str]) -> dict[str, set[tuple[str, str]]]:
        """Return entry and tutor of each lesson in rooms that was closed or refused, by room.

        Raises:
            LedgerError: If the ledger cannot be reached now.
        """
        values = {"rooms": json.dumps(dict.fromkeys(rooms))}

        def read(db: DatabaseConnection) -> dict[str, set[tuple[str, str]]]:
            closed: dict[str, set[tuple[str, str]]] = {room: set() for room in rooms}
            for row in db.execute(QUERIES["closed_entries"], values).fetchall():
                closed[row["room"]].add((row["entry"], row["tutor"]))
            return closed

        return await self._writer.write(read)

    async def purge(
        self, *, delivered_before: float, dead_before: float, unknown_before: float
    ) -> Purged:
        """Delete lessons delivered, and dead letters written, before these times.

        Times are in Unix seconds. Dead letters of learners unknown to the API have their own time.
        Each transaction deletes a limited number, so that other work runs in between.
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
        """Encrypt with the first key from now on; return whether it has changed."""
        return self._keys.use(keys)

    async def reencrypt(self) -> None:
        """Re-encrypt everything with the current key, in the background, with retries."""
        if self._spool is not None:
            await reencrypt_spool(self._spool, self._retry_every)
        lessons = await reencrypt(self._writer.write_with_retry, self._keys)
        log.info("ledger.reencrypted", lessons=lessons, key_id=self._keys.current.key_id)

    async def replay(self) -> int:
        """Write the spool to the ledger; return how many updates.

        Raises:
            LedgerError: If the ledger is unreachable; unwritten updates stay in the spool.
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
        """Write an update to the ledger, or to the spool if that has older updates."""
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

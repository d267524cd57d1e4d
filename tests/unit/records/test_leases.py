"""Leases and claims of several hosts on one ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest
from pydantic import ValidationError

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import CoreSettings
from loqua_host.errors import LearnerError, LedgerError
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.leases import LEASE, TAKEOVER_DELAY
from loqua_host.records.ledger import Kind, LeaseClaims, Ledger, LessonRow
from loqua_host.records.postgres import PostgresDatabase

NewLesson = Callable[..., LessonRow]
Opened = Callable[[], "asyncio.Future[Ledger]"]


@pytest.fixture
async def hosts(postgres_url: str) -> AsyncIterator[list[Ledger]]:
    """Yield the ledger as two hosts have it."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Ledger.open(PostgresDatabase(postgres_url), keys=["k" * 32], retry_every=0.01)
            )
            for _ in range(2)
        ]


def record_of(lesson: LessonRow) -> SessionRecord:
    """Return a record of this lesson."""
    return SessionRecord(
        session_id=lesson.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )


async def die(ledger: Ledger, ago: float = 1e9) -> None:
    """Expire a host's lease, as if it were dead."""
    text = "UPDATE host SET lease_until = unix_now() - :ago WHERE id = :host"
    await ledger._writer.write(lambda db: db.execute(text, {"ago": ago, "host": ledger._host}))


async def close(
    ledger: Ledger, row: LessonRow, words: int | None = 0, *, interrupted: bool = False
) -> None:
    """Close a lesson."""
    status = Kind.FAILED if interrupted else Kind.COMPLETED
    progress = None if words is None else Progress(words_learned=words)
    record = record_of(row)
    await ledger.close_lesson(row, 5.0, status, progress, record, interrupted=interrupted)


async def words_owed(ledger: Ledger, lesson: str) -> list[int | str]:
    """Return a lesson's outbox entries in order, and deliver them."""
    entry: list[int | str] = []
    while row := await ledger.next_entry(lesson):
        record = row.kind is Kind.RECORD
        progress = Progress() if record else Progress.model_validate_json(row.payload)
        entry.append("record" if record else progress.words_learned)
        await ledger.mark_delivered(row)
    return entry


async def test_a_room_has_one_tutor_of_a_kind_over_all_hosts(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """Until the first lesson is closed; other tutors of the room do not matter."""
    one, other = hosts
    row = await one.open_lesson(a_lesson(), "")
    for host in hosts:
        with pytest.raises(LearnerError) as refused:
            await host.open_lesson(a_lesson(id="second"), "")
        assert refused.value.cause == "already_taught"
    assert not await other.claim("room1", "conversation", 10.0)
    assert await other.claims_in(["room1"]) == {
        "room1": LeaseClaims(taught=frozenset({"conversation"}))
    }
    await other.open_lesson(a_lesson(id="other", tutor="grammar"), "")
    await close(one, row)
    assert (await other.open_lesson(a_lesson(id="second"), "")).id == "second"


async def test_a_host_knows_whether_it_is_alone(hosts: list[Ledger]) -> None:
    """The dead do not count."""
    one, other = hosts
    assert await one.is_shared()
    await die(other)
    assert not await one.is_shared()
    assert await other.is_shared()


async def test_of_hosts_that_open_at_once_one_does(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """Again and again, with the same visit: no session id is given twice, too."""
    for number in range(20):
        outcomes = await asyncio.gather(
            *(
                host.open_lesson(a_lesson(number, id=f"{number}-{which}"), "")
                for which, host in enumerate(hosts)
            ),
            *(
                host.open_lesson(a_lesson(number, id=f"{number}+{which}", room=f"+{which}"), "")
                for which, host in enumerate(hosts)
            ),
            return_exceptions=True,
        )
        opened = [one for one in outcomes if isinstance(one, LessonRow)]
        assert sum(isinstance(one, LearnerError) for one in outcomes) == 1
        assert len({row.session_id for row in opened}) == len(opened) == 3
        for host in hosts:
            for row in opened:
                await close(host, row)


async def test_a_lesson_that_a_living_host_releases_is_taken_over_with_its_pending_entries(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """At once by hosts that run its tutor, by others no sooner than after a crash."""
    one, other = hosts
    row = await one.open_lesson(a_lesson(), "")
    await one.save_progress(row, 30.0, Progress(words_learned=3), {})
    assert await other.take_over({"conversation"}) == 0
    await one.release(row)
    assert await one.interrupted() == []
    assert await other.take_over({"grammar"}) == 0
    assert await other.take_over({"conversation"}) == 1
    assert [lost.id for lost in await other.interrupted()] == [row.id]
    assert await one.next_entry(row.id) is None
    assert await words_owed(other, row.id) == [3]


async def test_a_tutor_is_called_by_one_host_and_taken_by_whichever_gets_the_job(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """The caller may call again; the others know that a tutor comes."""
    one, other = hosts
    assert await one.claim("room1", "conversation", 10.0)
    assert await one.claim("room1", "conversation", 10.0)
    assert not await other.claim("room1", "conversation", 10.0)
    assert await other.claims_in(["room1"]) == {
        "room1": LeaseClaims(called=frozenset({"conversation"}))
    }
    assert await other.claim("room1", "conversation", 20.0, arrived=True)
    assert not await one.claim("room1", "conversation", 10.0)
    await other.open_lesson(a_lesson(), "")
    assert await one.claims_in(["room1"]) == {
        "room1": LeaseClaims(taught=frozenset({"conversation"}))
    }


async def test_a_call_that_came_to_nothing_is_over_in_its_time(hosts: list[Ledger]) -> None:
    """Then another host may try."""
    one, other = hosts
    assert await one.claim("room1", "conversation", 0.05)
    await asyncio.sleep(0.06)
    assert await other.claim("room1", "conversation", 10.0)
    await one.purge(delivered_before=0.0, dead_before=0.0, unknown_before=0.0)
    assert not await one.claim("room1", "conversation", 10.0)


async def test_crashes_are_counted_over_all_hosts_and_restarts_for_themselves(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """A host that dies counts none; what a job says that was restarted since counts nothing."""
    one, other = hosts
    row = await one.open_lesson(a_lesson(), "")
    await one.interrupt(replace(row, crashes=1))
    resumed = await other.open_lesson(a_lesson(id="never"), "")
    assert (resumed.restarts, resumed.crashes) == (1, 1)
    await one.interrupt(replace(row, crashes=3))
    await die(other)
    await one.take_over({"conversation"})
    resumed = await one.open_lesson(a_lesson(id="never"), "")
    assert (resumed.restarts, resumed.crashes) == (2, 1)


async def test_an_interrupted_lesson_goes_on_at_whichever_host_gets_the_job(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """The host that lost it learns so, and what its dead job still says is not written."""
    one, other = hosts
    row = await one.open_lesson(a_lesson(), "")
    await one.save_progress(row, 30.0, Progress(words_learned=3), {})
    await one.interrupt(row)
    assert [lost.id for lost in await one.interrupted()] == [row.id]
    resumed = await other.open_lesson(a_lesson(id="never", entry="PA_2"), "")
    assert (resumed.id, resumed.restarts, resumed.entry) == (row.id, 1, "PA_2")
    assert resumed.progress == Progress(words_learned=3)
    assert await one.interrupted() == []
    await one.save_progress(row, 60.0, Progress(words_learned=1), {})
    await close(one, row)
    await close(other, resumed, words=5)
    assert await one.pending_lessons() == {}
    final = await other.next_entry(row.id)
    assert final is not None
    assert Progress.model_validate_json(final.payload).words_learned == 5


async def test_what_a_dead_host_left_is_taken_over_once(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """Open lessons and undelivered entries; nothing of a living host, or that is closed."""
    one, other = hosts
    lessons = [await one.open_lesson(a_lesson(number), "") for number in range(4)]
    await close(one, lessons[1])
    await close(one, lessons[2])
    while row := await one.next_entry(lessons[2].id):
        await one.mark_delivered(row)
    assert await other.take_over([]) == 0
    await die(one)
    assert await other.take_over([]) == 3
    assert await other.take_over([]) == 0
    assert [row.id for row in await other.interrupted()] == ["lesson0", "lesson3"]
    assert [*await other.pending_lessons()] == ["lesson1"]
    assert await one.next_entry("lesson1") is None


async def test_an_open_lesson_is_left_to_a_host_that_runs_its_tutor(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """For a while; another one then has it, to close it. What is closed, any host delivers."""
    one, other = hosts
    await one.open_lesson(a_lesson(1), "")
    ticked = await one.open_lesson(a_lesson(2), "")
    await one.save_progress(ticked, 1.0, Progress(), {})
    await close(one, await one.open_lesson(a_lesson(3, tutor="grammar"), ""))
    await die(one, ago=TAKEOVER_DELAY / 2)
    assert await other.take_over(["grammar"]) == 1
    assert [*await other.pending_lessons()] == ["lesson3"]
    assert await other.take_over(["grammar", "conversation"]) == 2
    await die(other, ago=TAKEOVER_DELAY * 2)
    assert await one.take_over([]) == 0, "it renews its lease first"
    assert await one.take_over([]) == 3


async def test_what_the_own_job_of_a_lesson_says_replaces_a_closing_that_is_unsent(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """Its host was cut off for so long that another closed the lesson from its last progress."""
    one, other = hosts
    rows = [await one.open_lesson(a_lesson(number), "") for number in range(4)]
    for row in rows[1:]:
        await one.save_progress(row, 30.0, Progress(words_learned=3), {})
    await die(one)
    await other.take_over([])
    for row in rows:
        words = None if row is rows[0] else 3
        await close(other, row, words=words, interrupted=True)
    for row in rows[2:]:
        final = await other.next_entry(row.id)
        assert final is not None
        assert await other.mark_sending(final)
        if row is rows[3]:
            await other.mark_delivered(final)
    for row in rows:
        await close(one, row, words=5)
    left = {row.id: await words_owed(other, row.id) for row in rows}
    assert left == {
        "lesson0": [5, "record"],
        "lesson1": [5, "record"],
        "lesson2": [3, "record"],
        "lesson3": ["record"],
    }
    await close(one, rows[1], words=9)
    assert await words_owed(other, "lesson1") == [], "once is enough"


async def test_a_row_that_is_just_being_sent_is_not_replaced(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """Of the two hosts one comes first, and the other sees it: again and again."""
    one, other = hosts
    for number in range(30):
        row = await one.open_lesson(a_lesson(number), "")
        await die(one)
        await other.take_over([])
        await close(other, row, words=None, interrupted=True)
        record = await other.next_entry(row.id)
        assert record is not None
        sending, _ = await asyncio.gather(other.mark_sending(record), close(one, row, words=5))
        entry = await other.next_entry(row.id)
        assert entry is not None
        assert (entry.kind is Kind.RECORD) is sending
        assert (entry.idempotency_key == record.idempotency_key) is sending


async def test_a_host_that_lost_its_lease_sends_nothing_and_gets_its_lessons_back(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """It was cut off: another delivers its outbox, but its jobs teach as before."""
    one, other = hosts
    taught = await one.open_lesson(a_lesson(1), "")
    ended = await one.open_lesson(a_lesson(2), "")
    await close(one, ended)
    row = await one.next_entry(ended.id)
    assert row is not None
    await die(one)
    assert await other.take_over([]) == 2
    assert [lost.id for lost in await other.interrupted()] == [taught.id]
    assert not await one.mark_sending(row)
    assert await one.take_over([]) == 0
    assert await other.interrupted() == []
    await close(other, taught)
    assert taught.id not in await other.pending_lessons(), "one's job teaches it"
    await close(one, taught)
    assert (await one.pending_lessons(), len(await other.pending_lessons())) == ({}, 2), (
        "one host sends a lesson's rows"
    )


async def test_what_an_operator_sends_again_is_sent_although_its_host_is_long_gone(
    postgres_url: str, a_lesson: NewLesson
) -> None:
    """No host owned the entry any more."""
    async with Ledger.open(PostgresDatabase(postgres_url)) as gone:
        row = await gone.open_lesson(a_lesson(), "")
        await close(gone, row)
        while entry := await gone.next_entry(row.id):
            await gone.dead_letter(entry, "400", 1.0)
    async with Ledger.open(PostgresDatabase(postgres_url)) as ledger:
        assert await ledger.take_over([]) == 0
        await ledger._writer.write(
            lambda db: db.execute("DELETE FROM host WHERE lease_until < unix_now()")
        )
        with LedgerAdmin.open(PostgresDatabase(postgres_url)) as admin:
            assert admin.resend(None) == 2
        assert await ledger.take_over([]) == 1
        assert [*await ledger.pending_lessons()] == [row.id]


def test_no_call_to_the_api_may_outlast_a_lease() -> None:
    """Or a row would be under way from two hosts."""
    settings = {"api_base_url": "http://127.0.0.1:9000", "deadline": LEASE}
    with pytest.raises(ValidationError, match="deadline"):
        CoreSettings.model_validate(settings)


async def test_who_was_cut_off_renews_before_it_takes_over(
    hosts: list[Ledger], a_lesson: NewLesson
) -> None:
    """After an outage of the ledger all leases have run out, and all hosts live."""
    one, other = hosts
    await one.open_lesson(a_lesson(), "")
    for host in hosts:
        await die(host)
    assert await other.take_over([]) == 0
    assert await one.take_over([]) == 0
    assert await other.take_over([]) == 0


async def test_a_host_that_ends_releases_its_pending_entries_at_once(
    postgres_url: str, a_lesson: NewLesson
) -> None:
    """Other hosts need not wait for its lease to expire."""
    async with Ledger.open(PostgresDatabase(postgres_url)) as staying:
        async with Ledger.open(PostgresDatabase(postgres_url)) as leaving:
            await close(leaving, await leaving.open_lesson(a_lesson(), ""))
        assert await staying.take_over([]) == 1


async def test_a_refusal_holds_at_every_host(hosts: list[Ledger]) -> None:
    """A learner is not called a tutor again for the same entry."""
    one, other = hosts
    for _ in range(2):
        await one.refuse("room", "PA_1", "grammar")
    assert await other.closed_entries(["room"]) == {"room": {("PA_1", "grammar")}}


async def test_keys_are_rotated_host_by_host(postgres_url: str, a_lesson: NewLesson) -> None:
    """Hosts with the old key and with the new one share lessons meanwhile."""
    before, after = ["old" * 11, "new" * 11], ["new" * 11, "old" * 11]
    async with Ledger.open(PostgresDatabase(postgres_url), keys=before) as old:
        first = await old.open_lesson(a_lesson(1), "")
        async with Ledger.open(PostgresDatabase(postgres_url), keys=after) as new:
            second = await old.open_lesson(a_lesson(2), "")
            await old.save_progress(first, 30.0, Progress(words_learned=1), {})
            await close(old, second)
            await die(old)
            assert await new.take_over([]) == 2
            assert [row.progress for row in await new.interrupted()] == [Progress(words_learned=1)]
            entry = await new.next_entry(second.id)
            assert entry is not None
            assert entry.lesson.user_id == "maria"


async def test_a_server_that_was_away_for_a_moment_costs_no_lesson(
    postgres_url: str, a_lesson: NewLesson
) -> None:
    """The connection is made again where the next transaction begins."""
    async with Ledger.open(PostgresDatabase(postgres_url)) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'loqua-host'"
            )
        await ledger.open_lesson(a_lesson(2), "")
        await close(ledger, row)
        assert [*await ledger.pending_lessons()] == [row.id]


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://loqua:secret word@/nowhere", "write postgresql://user:password@host"),
        ("postgresql://loqua:secret@127.0.0.1:1/loqua", "see that the server runs"),
    ],
)
async def test_a_postgres_out_of_reach_is_refused_with_its_mend(url: str, hint: str) -> None:
    """Without the password."""
    with pytest.raises(LedgerError, match=hint) as refused:
        async with Ledger.open(PostgresDatabase(url)):
            pass
    assert "secret" not in str(refused.value)

"""Contexts, progress and session records in Supabase, as the core reads and writes them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb
from tests.unit.core.conftest import encrypt, jwt
from tests.unit.supabase.conftest import HostDatabase

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord, Word
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.settings import StoreSettings
from loqua_host.errors import RefusedError, UnreachableError

HOSTILE = (
    "'); update user_contexts set words_learned = 666; --",
    "hola'; select set_config('request.jwt.claims', '{}', true); --",
    '{"userId": "%s"}',
    "%s %(user)s $1 :user \\",
)
"""What a tutor may report, or a learner may say."""


@dataclass
class Exchange:
    """The API's token exchange, which names the learner of each token."""

    asked: list[str] = field(default_factory=list)
    subject: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request.url.path.rpartition("/")[2])
        body = json.loads(request.content)
        claims = {"exp": 2**33, "sub": self.subject or body["user_id"], "role": "authenticated"}
        answer = {
            "encrypted_token": encrypt(jwt(**claims), "shared-secret"),
            "user_id": body["user_id"],
            "room_name": body["room_name"],
            "issued_to": body["agent_id"],
        }
        return httpx.Response(200, json=answer)


@pytest.fixture
def exchange() -> Exchange:
    """Return an API that exchanges tokens and knows nothing else."""
    return Exchange()


@pytest.fixture
async def api(store: HostDatabase, exchange: Exchange) -> AsyncIterator[LoquaApi]:
    """Yield the core of a host with everything in Supabase."""
    async with open_core(store, exchange) as api:
        yield api


def open_core(store: HostDatabase, exchange: Exchange, **changes: Any) -> Any:
    """Open the core with all operations in Supabase, or in other stores."""
    everything = {"contexts": "supabase", "progress": "supabase", "sessions": "supabase"}
    url = f"{store.url}&user=loqua_host"
    settings = CoreSettings(
        api_base_url="http://loqua.test",
        store=StoreSettings(**{**everything, **changes}),
        retries=0,
    )
    environ = {"AGENT_JWT_TOKEN": "a", "SHARED_SECRET": "shared-secret", "SUPABASE_DB_URL": url}
    transport = httpx.MockTransport(exchange)
    return LoquaApi.open(settings, EnvironmentSecrets(environ), transport=transport)


def of(user: UUID, room: str = "room") -> Caller:
    """Return the caller of a learner's lesson."""
    return Caller(str(user), room, "loqua-host-1")


def a_record(session: str, *words: str, **fields: Any) -> SessionRecord:
    """Return the record of a lesson with these new words."""
    vocabulary = tuple(Word(word=word, translation=word, language="es") for word in words)
    return SessionRecord(
        session_id=session,
        duration_minutes=30,
        overall_performance=Performance.GOOD,
        new_vocabulary=vocabulary,
        **fields,
    )


async def practise(api: LoquaApi, caller: Caller, session: str, words: int, **more: Any) -> None:
    """Send the progress of a lesson."""
    progress = Progress(words_learned=words, phrases_practiced=2 * words, **more)
    await api.send_progress(
        caller, session_id=session, status="in_progress", progress=progress, key="k"
    )


def all_rows(store: HostDatabase, user: UUID) -> dict[str, list[Any]]:
    """Return all rows of a learner, past all policies."""
    tables = ("user_preferences", "user_contexts", "user_progress", "learning_sessions")
    with store.as_admin() as admin:
        return {
            table: admin.execute(
                f"select to_jsonb(it) from {table} as it where user_id = %s",  # noqa: S608  # our own names
                [user],
            ).fetchall()
            for table in (*tables, "user_vocabulary")
        }


async def test_a_lesson_reads_and_writes_in_supabase_alone(
    api: LoquaApi, store: HostDatabase, exchange: Exchange
) -> None:
    """The API only exchanges the token; each operation has one store."""
    ana = of(store.enrol())
    await api.lease(ana)
    await practise(api, ana, "visit", 3, pronunciation_score=81.5)
    await practise(api, ana, "visit", 5, pronunciation_score=80, grammar_points=("articles",))
    await api.create_session(ana, a_record("visit", "hola"), key="k", started_at=1_700_000_000)
    loaded = await api.context(ana)
    assert loaded.mode is Mode.FULL
    assert loaded.context.preferences.language_learning == "spanish"
    totals = loaded.context.progress
    assert (totals.words_learned, totals.phrases_practiced, totals.total_sessions) == (5, 10, 1)
    assert totals.pronunciation_score_avg == 80
    (session,) = loaded.context.session_history
    assert (session.session_id, session.duration_minutes) == ("visit", 30)
    assert session.date is not None
    assert session.date.timestamp() == 1_700_000_000
    assert exchange.asked == ["user-token"]


async def test_each_operation_has_the_store_that_config_says(
    store: HostDatabase, exchange: Exchange
) -> None:
    """Here records go to Supabase and all else to the API; nothing goes to both."""
    ana = store.enrol()
    async with open_core(store, exchange, contexts="api", progress="api") as api:
        await api.lease(of(ana))
        await api.create_session(of(ana), a_record("visit"), key="k")
        with pytest.raises(UnreachableError):
            await practise(api, of(ana), "visit", 3)
    assert {"progress"} == {*exchange.asked} - {"user-token"}
    rows = all_rows(store, ana)
    assert (len(rows["learning_sessions"]), len(rows["user_progress"])) == (1, 0)


@pytest.mark.parametrize("text", HOSTILE, ids=["update", "claims", "format", "placeholders"])
async def test_whatever_a_tutor_sends_another_s_rows_stay(
    api: LoquaApi, store: HostDatabase, text: str
) -> None:
    """It is data of the learner whom the lesson teaches, word for word."""
    ana, ben = store.enrol(), store.enrol()
    text = text.replace("%s", str(ben))
    for user in (ana, ben):
        await api.lease(of(user))
    await practise(api, of(ben), "visit", 1)
    before = all_rows(store, ben)
    await practise(api, of(ana), f"visit-{text}", 9, grammar_points=(text,))
    await api.create_session(
        of(ana), a_record("visit", text, topics_covered=(text,), achievements=(text,)), key="k"
    )
    assert all_rows(store, ben) == before
    rows = all_rows(store, ana)
    assert rows["user_progress"][0][0]["grammar_points"] == [text]
    assert rows["user_vocabulary"][0][0]["word"] == text


async def test_a_token_of_another_learner_opens_nothing(
    api: LoquaApi, store: HostDatabase, exchange: Exchange
) -> None:
    """If the API mixes up two tokens, the policies refuse, and the context is not used."""
    ana, ben = store.enrol(), store.enrol()
    before = all_rows(store, ben)
    exchange.subject = str(ana)
    await api.lease(of(ben))
    with pytest.raises(RefusedError) as refused:
        await practise(api, of(ben), "visit", 9)
    assert refused.value.status == 403
    assert (await api.context(of(ben))).mode is not Mode.FULL
    assert all_rows(store, ben) == before


async def test_lessons_on_the_same_connections_keep_apart(
    api: LoquaApi, store: HostDatabase
) -> None:
    """Two hundred calls of twenty learners in any order over five connections."""
    users = [store.enrol() for _ in range(20)]
    for user in users:
        await api.lease(of(user))

    async def teach(number: int, user: UUID) -> None:
        for tick in range(1, 6):
            await practise(api, of(user), "the same visit", number * 10 + tick)
        await api.create_session(of(user), a_record("the same visit", f"w{number}"), key="k")
        await api.create_session(of(user), a_record("second", f"w{number}"), key="k")

    await asyncio.gather(*(teach(number, user) for number, user in enumerate(users)))
    for number, user in enumerate(users):
        context = (await api.context(of(user))).context
        assert (context.progress.words_learned, context.progress.total_sessions) == (
            number * 10 + 5,
            2,
        )
        (word,) = all_rows(store, user)["user_vocabulary"]
        assert (word[0]["word"], word[0]["sessions"]) == (f"w{number}", 2)


async def test_records_of_many_lessons_are_few_statements(
    api: LoquaApi, store: HostDatabase
) -> None:
    """Records that wait are inserted together; each transaction has one number."""
    users = [store.enrol() for _ in range(12)]
    async with asyncio.TaskGroup() as tasks:
        for user in users:
            tasks.create_task(api.create_session(of(user), a_record("visit"), key="k"))
    with store.as_admin() as admin:
        row = admin.execute(
            "select count(*), count(distinct xmin::text) from learning_sessions"
            " where user_id = any(%s)",
            [users],
        ).fetchone()
    assert row is not None
    assert (row[0], row[1] <= 3) == (12, True)


async def test_a_record_that_is_refused_holds_up_no_other(
    api: LoquaApi, store: HostDatabase
) -> None:
    """A learner was deleted: that record is refused for good, the rest of the batch arrives."""
    ana, nobody, ben = store.enrol(), uuid4(), store.enrol()
    done = await asyncio.gather(
        *(api.create_session(of(user), a_record("visit"), key="k") for user in (ana, nobody, ben)),
        return_exceptions=True,
    )
    assert [type(one) for one in done] == [type(None), RefusedError, type(None)]
    assert isinstance(done[1], RefusedError)
    assert (done[1].status, done[1].code) == (404, "USER_NOT_FOUND")
    for user in (ana, ben):
        assert len(all_rows(store, user)["learning_sessions"]) == 1


async def test_a_record_is_inserted_once_however_often_it_is_sent(
    api: LoquaApi, store: HostDatabase, exchange: Exchange
) -> None:
    """The store need not be queried before a repeat, and no learner's token is needed."""
    ana = store.enrol()
    for _ in range(3):
        assert not await api.session_known(of(ana), "visit")
        await api.create_session(of(ana), a_record("visit", "hola"), key="k")
    rows = all_rows(store, ana)
    assert len(rows["learning_sessions"]) == 1
    assert rows["user_contexts"][0][0]["total_sessions"] == 1
    assert exchange.asked == []


async def test_a_user_id_that_is_no_uuid_is_refused(api: LoquaApi) -> None:
    """With the reason, but without the id."""
    caller = Caller("user_ana", "room", "loqua-host-1")
    await api.lease(caller)
    with pytest.raises(RefusedError) as refused:
        await practise(api, caller, "visit", 1)
    assert refused.value.status == 400
    assert "user_ana" not in str(refused.value)


async def test_a_learner_without_rows_is_taught_without_a_context(
    api: LoquaApi, store: HostDatabase
) -> None:
    """The context is that of a new learner: empty."""
    user = uuid4()
    with store.as_admin() as admin:
        admin.execute("insert into auth.users values (%s)", [user])
    await api.lease(of(user))
    loaded = await api.context(of(user))
    assert (loaded.mode, loaded.context.session_history) == (Mode.FULL, ())
    assert loaded.context.progress.total_sessions == 0


async def test_a_database_that_is_gone_degrades_lessons(
    store: HostDatabase, exchange: Exchange
) -> None:
    """As with an unreachable API, progress is sent later, and the context is empty."""
    gone = HostDatabase(store.url.replace("/supabase_", "/gone_"))
    ana = store.enrol()
    async with open_core(gone, exchange, pool_size=1, max_connections=1) as api:
        await api.lease(of(ana))
        async with asyncio.TaskGroup() as tasks:
            context = tasks.create_task(api.context(of(ana)))
            progress = tasks.create_task(_outcome(practise(api, of(ana), "visit", 1)))
        assert context.result().mode is Mode.BASIC
        assert isinstance(progress.result(), UnreachableError)


async def _outcome(call: Any) -> Exception | None:
    try:
        await call
    except UnreachableError as error:
        return error
    return None


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("select learner_context()", id="context"),
        pytest.param("select save_progress('{}', 'agent')", id="progress"),
    ],
)
def test_the_service_and_strangers_do_not_act_as_learners(
    store: HostDatabase, statement: str
) -> None:
    """Only the role `authenticated` may call the functions that replace the API."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege), store.as_service() as service:
        service.execute(statement.encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege), store.as_login() as login:
        login.execute(statement.encode())


def test_without_claims_nobody_s_context_comes(store: HostDatabase) -> None:
    """Nor is progress saved for a user of one's choice."""
    ana = store.enrol()
    with psycopg.connect(store.url, user="loqua_host") as login, login.transaction():
        login.execute("select set_config('role', 'authenticated', true)")
        row = login.execute("select learner_context()").fetchone()
        assert row is not None
        assert (row[0]["user_id"], row[0]["progress"]) == (None, {})
        update = {"userId": str(ana), "sessionId": "s", "data": {"status": "in_progress"}}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("select save_progress(%s, 'agent')", [Jsonb(update)])

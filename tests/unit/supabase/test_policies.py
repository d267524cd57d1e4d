"""Row-level policies of Supabase, in a real Postgres."""

from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.types.json import Jsonb
from tests.unit.supabase.conftest import HostDatabase

OWNED = (
    "user_preferences",
    "user_contexts",
    "user_progress",
    "learning_sessions",
    "user_vocabulary",
)

PROGRESS = """
insert into user_progress
    (user_id, session_id, agent_id, status, words_learned, phrases_practiced)
values (%s, %s, 'loqua-host-1', 'in_progress', 5, 12)
on conflict (user_id, session_id) do update set words_learned = excluded.words_learned
"""


def record(user: object, session: str, **fields: object) -> dict[str, object]:
    """Return a session record in the API's names."""
    return {
        "user_id": str(user),
        "session_id": session,
        "agent_id": "loqua-host-1",
        "duration_minutes": 30,
        "overall_performance": "good",
        **fields,
    }


def save(store: HostDatabase, *records: dict[str, object]) -> set[str]:
    """Record sessions as the service does; return the ids of the new ones."""
    with store.as_service() as service:
        rows = service.execute("select * from record_sessions(%s)", [Jsonb(records)]).fetchall()
    return {session for _, session in rows}


def on(query: LiteralString, table: str) -> sql.Composed:
    """Return a query of a table."""
    return sql.SQL(query).format(sql.Identifier(table))


def count(connection: psycopg.Connection, table: str, user: object) -> int:
    """Count the rows of a learner that a transaction sees."""
    query = on("select count(*) from {} where user_id = %s", table)
    row = connection.execute(query, [user]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("table", OWNED, ids=str)
def test_a_learner_sees_only_their_own_rows(store: HostDatabase, table: str) -> None:
    """This holds for any query."""
    ana, ben = store.enrol(), store.enrol()
    word = {"word": "hola", "translation": "hello", "language": "es"}
    for user in (ana, ben):
        save(store, record(user, "visit", new_vocabulary=[word]))
        with store.as_learner(user) as learner:
            learner.execute(PROGRESS, [user, "visit"])
    with store.as_learner(ana) as learner:
        assert count(learner, table, ana) == 1
        assert count(learner, table, ben) == 0
        assert learner.execute(on("select count(distinct user_id) from {}", table)).fetchone() == (
            1,
        )


@pytest.mark.parametrize("table", ["user_preferences", "user_contexts", "user_progress"], ids=str)
def test_a_learner_changes_only_their_own_rows(store: HostDatabase, table: str) -> None:
    """An update of another's rows finds none."""
    ana, ben = store.enrol(), store.enrol()
    for user in (ana, ben):
        with store.as_learner(user) as learner:
            learner.execute(PROGRESS, [user, "visit"])
    with store.as_learner(ana) as learner:
        changed = learner.execute(
            on("update {} set updated_at = now() where user_id = %s", table), [ben]
        )
        assert changed.rowcount == 0
        assert learner.execute(on("update {} set updated_at = now()", table)).rowcount == 1


def test_a_learner_cannot_write_a_row_for_another(store: HostDatabase) -> None:
    """Neither an insert nor an update can do it."""
    ana, ben = store.enrol(), store.enrol()
    with pytest.raises(errors.InsufficientPrivilege), store.as_learner(ana) as learner:
        learner.execute(PROGRESS, [ben, "visit"])
    with pytest.raises(errors.InsufficientPrivilege), store.as_learner(ana) as learner:
        learner.execute("update user_contexts set user_id = %s", [ben])


def test_another_s_progress_is_not_overwritten_by_the_same_session_id(store: HostDatabase) -> None:
    """A session id is what a learner brings along."""
    ana, ben = store.enrol(), store.enrol()
    for user in (ana, ben):
        with store.as_learner(user) as learner:
            learner.execute(PROGRESS, [user, "the same visit"])
    with store.as_admin() as admin:
        assert count(admin, "user_progress", ana) == count(admin, "user_progress", ben) == 1


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("delete from user_contexts", id="delete a context"),
        pytest.param("delete from user_progress", id="delete progress"),
        pytest.param("update learning_sessions set duration_minutes = 0", id="change a record"),
        pytest.param("delete from user_vocabulary", id="delete words"),
        pytest.param("truncate user_progress", id="truncate"),
        pytest.param("select record_sessions('[]')", id="record sessions"),
        pytest.param("select * from auth.users", id="list learners"),
        pytest.param(
            "alter table user_contexts disable row level security", id="lift the policies"
        ),
    ],
)
def test_a_learner_s_transaction_may_not(store: HostDatabase, statement: str) -> None:
    """Do what only the service or nobody may."""
    with pytest.raises(errors.InsufficientPrivilege), store.as_learner(store.enrol()) as learner:
        learner.execute(statement)


def test_without_claims_no_row_is_seen(store: HostDatabase) -> None:
    """An earlier transaction of the connection may have had claims."""
    user = store.enrol()
    with psycopg.connect(store.url, user="loqua_host") as connection:
        with connection.transaction():
            connection.execute("select set_config('role', 'authenticated', true)")
            connection.execute(
                "select set_config('request.jwt.claims', %s, true)", [f'{{"sub": "{user}"}}']
            )
            assert count(connection, "user_contexts", user) == 1
        with connection.transaction():
            connection.execute("select set_config('role', 'authenticated', true)")
            assert count(connection, "user_contexts", user) == 0


@pytest.mark.parametrize("table", OWNED, ids=str)
def test_the_login_alone_has_no_rights(store: HostDatabase, table: str) -> None:
    """A transaction that forgot to take a role fails."""
    with pytest.raises(errors.InsufficientPrivilege), store.as_login() as login:
        login.execute(on("select * from {}", table))


def test_the_login_takes_no_other_role_and_few_connections(store: HostDatabase) -> None:
    """Role and limit are those of the guide."""
    with pytest.raises(errors.InsufficientPrivilege), store.as_login() as login:
        login.execute("set local role anon")
    with store.as_admin() as admin:
        limit = admin.execute("select rolconnlimit from pg_roles where rolname = 'loqua_host'")
        assert limit.fetchone() == (20,)


@pytest.mark.parametrize("table", ["user_preferences", "user_progress"], ids=str)
def test_the_service_does_not_read_what_is_the_learner_s(store: HostDatabase, table: str) -> None:
    """The guide grants it sessions and contexts."""
    with pytest.raises(errors.InsufficientPrivilege), store.as_service() as service:
        service.execute(on("select * from {}", table))


@pytest.mark.parametrize(
    ("table", "verbs"),
    [
        pytest.param("learning_sessions", {"SELECT", "INSERT", "UPDATE"}, id="sessions"),
        pytest.param("user_contexts", {"SELECT", "UPDATE"}, id="contexts"),
    ],
)
def test_the_service_has_the_rights_of_the_guide(
    store: HostDatabase, table: str, verbs: set[str]
) -> None:
    """No more, on the guide's tables."""
    with store.as_admin() as admin:
        rows = admin.execute(
            "select privilege_type from information_schema.role_table_grants "
            "where grantee = 'agent_service' and table_name = %s",
            [table],
        ).fetchall()
    assert {verb for (verb,) in rows} == verbs


def test_every_table_has_row_level_security(store: HostDatabase) -> None:
    """A table without it would be open to whoever has a grant."""
    with store.as_admin() as admin:
        rows = admin.execute(
            "select relname, relrowsecurity from pg_class "
            "where relkind = 'r' and relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert dict(rows) == dict.fromkeys(OWNED, True)


def test_records_are_inserted_in_bulk_and_once(store: HostDatabase) -> None:
    """A repeated insert, after a lost answer, changes nothing."""
    ana, ben = store.enrol(), store.enrol()
    batch = [record(ana, "first"), record(ana, "second", duration_minutes=15), record(ben, "first")]
    assert save(store, *batch) == {"first", "second"}
    assert save(store, *batch, record(ben, "second")) == {"second"}
    with store.as_learner(ana) as learner:
        totals = learner.execute(
            "select total_sessions, total_conversation_time from user_contexts"
        )
        assert totals.fetchone() == (2, 45)


def test_vocabulary_is_merged(store: HostDatabase) -> None:
    """A word of several sessions is one row; the latest translation counts."""
    ana = store.enrol()
    hola, casa = ({"word": word, "language": "es"} for word in ("hola", "casa"))
    save(
        store,
        record(ana, "1", new_vocabulary=[hola | {"translation": "hi"}, hola]),
        record(ana, "2", new_vocabulary=[hola, casa | {"translation": "house"}]),
    )
    save(store, record(ana, "3", new_vocabulary=[hola | {"translation": "hello"}]))
    save(store, record(ana, "3", new_vocabulary=[hola | {"translation": "again"}]))
    with store.as_learner(ana) as learner:
        words = learner.execute(
            "select word, translation, sessions from user_vocabulary order by 1"
        )
        assert words.fetchall() == [("casa", "house", 1), ("hola", "hello", 3)]


def test_achievements_and_grammar_add_up(store: HostDatabase) -> None:
    """Each of them once."""
    ana = store.enrol()
    save(store, record(ana, "1", achievements=["first_week"], grammar_points=["articles"]))
    save(
        store,
        record(ana, "2", achievements=["first_week", "clear_voice"], grammar_points=["articles"]),
        record(ana, "3", grammar_points=["past_tense"]),
    )
    with store.as_learner(ana) as learner:
        totals = learner.execute(
            "select achievements_unlocked, grammar_points_covered from user_contexts"
        )
        assert totals.fetchone() == (["clear_voice", "first_week"], ["articles", "past_tense"])


def test_a_record_of_nobody_fails_the_whole_batch(store: HostDatabase) -> None:
    """The host then sends them one by one: no record is lost with another."""
    ana = store.enrol()
    with pytest.raises(errors.ForeignKeyViolation):
        save(store, record(ana, "kept out"), record(uuid4(), "of nobody"))
    with store.as_learner(ana) as learner:
        assert count(learner, "learning_sessions", ana) == 0


def test_a_learner_who_is_deleted_leaves_nothing(store: HostDatabase) -> None:
    """All tables follow the account."""
    ana = store.enrol()
    save(store, record(ana, "1", new_vocabulary=[{"word": "hola", "language": "es"}]))
    with store.as_learner(ana) as learner:
        learner.execute(PROGRESS, [ana, "1"])
    with store.as_admin() as admin:
        admin.execute("delete from auth.users where id = %s", [ana])
        assert [count(admin, table, ana) for table in OWNED] == [0] * len(OWNED)

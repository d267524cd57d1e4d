"""A database set up like Supabase's, with the migrations of config/supabase."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

MIGRATIONS = Path(__file__).parents[3] / "config/supabase/migrations"

PLATFORM = """
create schema auth;
create table auth.users (id uuid primary key);

-- As Supabase's documentation has it: the claim `sub` of the request's JWT.
create function auth.uid() returns uuid language sql stable as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
grant usage on schema auth to anon, authenticated;

grant usage on schema public to anon, authenticated;
alter default privileges in schema public grant all on tables to anon, authenticated;
alter default privileges in schema public grant execute on functions to anon, authenticated;
"""
"""What a Supabase database has before any migration: new tables are open to all its roles."""

ROLES = ("anon", "authenticated")
MADE = ("loqua_host", "agent_service")
"""The roles that the migrations make; roles belong to the server, not to a database."""


class HostDatabase:
    """The database, as the host's login uses it.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def as_learner(self, user: UUID) -> Iterator[psycopg.Connection]:
        """Yield a transaction under the claims of a learner's JWT."""
        with self._connection() as connection, connection.transaction():
            claims = Jsonb({"sub": str(user), "role": "authenticated"})
            connection.execute("select set_config('role', 'authenticated', true)")
            connection.execute(
                "select set_config('request.jwt.claims', %s::jsonb::text, true)", [claims]
            )
            yield connection

    @contextmanager
    def as_service(self) -> Iterator[psycopg.Connection]:
        """Yield a transaction of the service."""
        with self._connection() as connection, connection.transaction():
            connection.execute("select set_config('role', 'agent_service', true)")
            yield connection

    @contextmanager
    def as_login(self) -> Iterator[psycopg.Connection]:
        """Yield a transaction that has taken no role."""
        with self._connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def as_admin(self) -> Iterator[psycopg.Connection]:
        """Yield a transaction of the superuser, for which no policy holds."""
        with psycopg.connect(self.url) as connection:
            yield connection

    def enrol(self) -> UUID:
        """Add a learner with a context and preferences; return the id."""
        user = uuid4()
        with self.as_admin() as admin:
            admin.execute("insert into auth.users values (%s)", [user])
            admin.execute("insert into user_contexts (user_id) values (%s)", [user])
            admin.execute(
                "insert into user_preferences (user_id, language_learning) values (%s, 'spanish')",
                [user],
            )
        return user

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.url, user="loqua_host") as connection:
            yield connection


@pytest.fixture(scope="module")
def store(postgres: str) -> Iterator[HostDatabase]:
    """Return a migrated database."""
    name = f"supabase_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as server:
        for role in ROLES:
            server.execute(f"create role {role} nologin")
        server.execute(f"create database {name}")
        url = postgres.replace("/postgres?", f"/{name}?")
        try:
            with psycopg.connect(url) as connection:
                connection.execute(PLATFORM)
                for file in sorted(MIGRATIONS.glob("*.sql")):
                    connection.execute(file.read_bytes())
            yield HostDatabase(url)
        finally:
            server.execute(f"drop database {name} with (force)")
            for role in (*MADE, *ROLES):
                server.execute(f"drop role if exists {role}")

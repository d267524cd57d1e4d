"""A transport that reads and writes learners' data in Supabase, in the API's terms.

Contexts and progress are read and written as the role `authenticated` with the claims of the
learner's JWT, so that the database's policies decide which rows that is; session records as
`agent_service`. See config/supabase.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import SecretStr

from loqua_host.errors import RefusedError, UnreachableError

from .bulk import Bulk
from .secrets import CoreSecret, SecretsPort
from .settings import CoreSettings
from .tokens import read_payload
from .transport import RequestTrace
from .wire import Answer, Request

__all__ = ["SupabaseTransport", "open_supabase"]

TAKE_ROLE: Final = """
select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)
"""
"""Both end with the transaction, which makes connections safe to share and pgbouncer possible."""

CONNECTION: Final = {
    "application_name": "loqua-host",
    "autocommit": True,  # each call runs in its own transaction
    "connect_timeout": 5,
    "prepare_threshold": None,  # pgbouncer in transaction mode keeps no prepared statements
}

TAKEN: Final = b'{"success": true}'

UNFIT: Final = "see that SUPABASE_DB_URL names the database that config/supabase was applied to"


@asynccontextmanager
async def open_supabase(
    settings: CoreSettings, secrets: SecretsPort
) -> AsyncIterator["SupabaseTransport"]:
    """Yield the transport, with its connections; they are made when they are needed.

    Args:
        settings: The section `api:`, for the connections and the time for one attempt.
        secrets: Where SUPABASE_DB_URL is read, at each new connection.
    """

    async def url() -> str:
        secret = await secrets.read(CoreSecret.SUPABASE_DB_URL)
        return secret.current.get_secret_value()

    pool = AsyncConnectionPool(
        url,
        kwargs=CONNECTION,
        min_size=settings.store.pool_size,
        max_size=settings.store.max_connections,
        timeout=settings.attempt_timeout,
        name="supabase",
        open=False,
    )
    await pool.open()
    try:
        yield SupabaseTransport(pool, settings.attempt_timeout)
    finally:
        await pool.close()


class SupabaseTransport:
    """Answer calls from the database.

    Args:
        pool: Its connections, in autocommit mode.
        timeout: Seconds for one call.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._records = Bulk(self._insert)

    async def send(
        self, request: Request[Any], jwt: SecretStr, passage: RequestTrace
    ) -> tuple[int, Answer]:
        """Return the answer that the API would give.

        Raises:
            RefusedError: If the policies or the tables refuse it.
            UnreachableError: If the database cannot be used now.
        """
        passage.sent = True
        async with asyncio.timeout(self._timeout):
            if request.endpoint == "sessions":
                await self._records.add(_record(request))
                return 200, Answer({}, TAKEN)
            return 200, Answer({}, await self._as_learner(request, jwt))

    async def _as_learner(self, request: Request[Any], jwt: SecretStr) -> bytes:
        claims = json.dumps(dict(read_payload(jwt)))
        with _translated(request.endpoint):
            if request.body is None:
                query = "select learner_context()"
                return json.dumps(await self._ask("authenticated", claims, query, ())).encode()
            values = Jsonb(json.loads(request.body)), request.caller.agent_id
            await self._ask("authenticated", claims, "select save_progress(%s, %s)", values)
            return TAKEN

    async def _insert(self, records: Sequence[dict[str, Any]]) -> None:
        query = "select count(*) from record_sessions(%s)"
        with _translated("sessions"):
            await self._ask("agent_service", "", query, (Jsonb(list(records)),))

    async def _ask(self, role: str, claims: str, query: str, values: Sequence[object]) -> Any:
        """Return the only value of a query, asked with its transaction in one round trip."""
        async with (
            self._pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            await connection.execute(TAKE_ROLE, (role, claims))
            cursor = await connection.execute(query.encode(), values)
            row = await cursor.fetchone()
        return None if row is None else row[0]


def _record(request: Request[Any]) -> dict[str, Any]:
    """Return the row of a session record, from the request as it is in v2."""
    body = json.loads(request.body_in("v2") or b"{}")
    row = {
        "user_id": body.pop("userId"),
        "session_id": body.pop("sessionId"),
        "agent_id": request.caller.agent_id,
        "new_vocabulary": body.pop("vocabulary"),
        "created_at": body.pop("started_at", None),
    }
    row |= body
    return row


@contextmanager
def _translated(endpoint: str) -> Iterator[None]:
    """Raise the errors of calls. They only name the error, whose words may quote a learner's."""
    try:
        yield
    except errors.ForeignKeyViolation:
        raise RefusedError(
            endpoint, "the database has no such user", status=404, code="USER_NOT_FOUND"
        ) from None
    except errors.InsufficientPrivilege:
        message = f"the database's policies or grants refuse it; {UNFIT}"
        raise RefusedError(endpoint, message, status=403) from None
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        message = f"the database refuses it ({type(error).__name__})"
        raise RefusedError(endpoint, message, status=400) from None
    except PoolTimeout:
        message = f"no connection to Supabase; {UNFIT}, and that it runs"
        raise UnreachableError(endpoint, message, sent=False) from None
    except psycopg.Error as error:
        message = f"Supabase: {type(error).__name__}; {UNFIT}"
        raise UnreachableError(endpoint, message, sent=True) from None

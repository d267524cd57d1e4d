"""The ledger on Postgres as operators run it: TLS, a connection pooler, a standby server."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.bench.tcp_proxy import open_tcp_proxy
from tests.certificates import issue

from loqua_host.contract.records import Progress
from loqua_host.dev.ports import free_port
from loqua_host.dev.postgres import PostgresUnavailableError, as_unprivileged, run_postgres
from loqua_host.errors import LedgerError
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.postgres import PostgresDatabase, _Connection
from loqua_host.records.session_record import compose_record

POOL = """
[databases]
* = host={socket} port={port} user=loqua
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@pytest.fixture(scope="module")
def readable_directory() -> Iterator[Path]:
    """Yield a directory of the servers' user, which cannot read root's directories."""
    with tempfile.TemporaryDirectory(prefix="loqua-servers-") as name:
        yield own(Path(name))


@pytest.fixture(scope="module")
def server(readable_directory: Path) -> Iterator[tuple[str, int, str]]:
    """Yield a Postgres with TLS: its URL by socket, its port, and who vouches for it."""
    files = {what: own(Path(file)) for what, file in issue(readable_directory).items()}
    files["key"].chmod(0o600)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "ssl": "on",
        "ssl_cert_file": str(files["certificate"]),
        "ssl_key_file": str(files["key"]),
    }
    with started(settings) as url:
        yield url, port, str(files["certificate"])


@pytest.fixture(scope="module")
def pool(server: tuple[str, int, str], readable_directory: Path) -> Iterator[int]:
    """Yield the port of a pgbouncer in transaction mode before that server."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not on PATH; Debian has it in the package pgbouncer")
    url, port, _ = server
    listen, config = free_port(), readable_directory / "pgbouncer.ini"
    [socket] = psycopg.conninfo.conninfo_to_dict(url)["host"].split(",")
    config.write_text(POOL.format(socket=socket, port=port, listen=listen))
    own(config)
    with subprocess.Popen([*as_unprivileged(), program, "--quiet", str(config)]) as process:  # noqa: S603  # Debian's
        try:
            await_port(listen)
            yield listen
        finally:
            process.kill()


def own(file: Path) -> Path:
    """Change a file's owner to the user that servers run as."""
    if os.geteuid() == 0:
        shutil.chown(file, "nobody", "nogroup")
    return file


@contextmanager
def started(settings: dict[str, str], standby_of: str | None = None) -> Iterator[str]:
    """Yield the URL of a Postgres, or skip where there is none."""
    try:
        with run_postgres(durable=False, settings=settings, standby_of=standby_of) as url:
            yield url
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))


def await_port(port: int) -> None:
    """Wait until pgbouncer lets a client in."""
    for _ in range(200):
        try:
            psycopg.connect(f"postgresql://loqua@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)  # nothing says when it listens
        else:
            return
    raise AssertionError("pgbouncer does not start")


def a_lesson(number: int) -> LessonRow:
    """Return a lesson that has not begun."""
    return LessonRow(
        id=f"lesson{number}",
        session_id="",
        visit=f"visit{number}",
        user_id="maria",
        room=f"room{number}",
        tutor="conversation",
        agent_id="loqua",
        opened_at=time.time(),
    )


async def teach(ledger: Ledger, number: int) -> None:
    """Write a lesson from its start to the end of its record."""
    row = await ledger.open_lesson(a_lesson(number), "")
    await ledger.take_over(["conversation"])
    await ledger.save_progress(row, 1.0, Progress(words_learned=number), {})
    record = compose_record(row, None, 60).record
    await ledger.close_lesson(row, time.time(), Kind.COMPLETED, Progress(), record)
    while entry := await ledger.next_entry(row.id):
        assert await ledger.mark_sending(entry)
        await ledger.mark_delivered(entry)


@contextmanager
def new_database(url: str, name: str) -> Iterator[None]:
    """Create an empty database at a server for the duration of a block."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield


async def test_a_ledger_speaks_tls_to_the_server_that_its_authority_vouches_for(
    server: tuple[str, int, str], tmp_path: Path
) -> None:
    """With verify-full, under the name of the certificate and no other authority's."""
    url, port, authority = server
    verified = f"sslmode=verify-full&sslrootcert={authority}"
    with new_database(url, "tls"):
        database = PostgresDatabase(f"postgresql://loqua@localhost:{port}/tls?{verified}")
        async with Ledger.open(database) as ledger:
            await teach(ledger, 1)
            with psycopg.connect(url) as watching:
                encrypted = watching.execute(
                    "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                    " WHERE datname = 'tls'"
                ).fetchone()
            assert encrypted == (True,)
    strangers = issue(tmp_path)["certificate"]
    other = f"postgresql://loqua@localhost:{port}/tls?sslmode=verify-full&sslrootcert={strangers}"
    with pytest.raises(LedgerError, match="certificate verify failed"):
        PostgresDatabase(other).open()
    misnamed = f"postgresql://loqua@wrong.example:{port}/tls?hostaddr=127.0.0.1&{verified}"
    with pytest.raises(LedgerError, match="does not match host name"):
        PostgresDatabase(misnamed).open()


async def test_a_ledger_works_behind_a_pool_that_changes_sessions(
    server: tuple[str, int, str], pool: int
) -> None:
    """Hosts share two sessions of pgbouncer, query by query, and leave none of their settings."""
    url, _, _ = server
    pooled = f"postgresql://loqua@127.0.0.1:{pool}/pooled"
    with new_database(url, "pooled"):
        async with (
            Ledger.open(PostgresDatabase(pooled), keys=["k" * 32]) as one,
            Ledger.open(PostgresDatabase(pooled), keys=["k" * 32]) as other,
        ):
            for start in range(0, 20, 2):
                await asyncio.gather(teach(one, start), teach(other, start + 1))
            limits = await one._writer.write(
                lambda db: db.execute("SHOW statement_timeout").fetchone()
            )
        assert limits == {"statement_timeout": "15s"}
        with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as client:
            for _ in range(6):
                assert client.execute("SHOW statement_timeout").fetchone() == ("0",)


async def test_lessons_go_on_at_the_second_server_when_the_first_is_killed(tmp_path: Path) -> None:
    """Committed rows are there, new ones wait in the spool, and one URL names both servers."""
    ports = [free_port(), free_port()]
    tcp = {"listen_addresses": "127.0.0.1"}
    hosts = ",".join(f"127.0.0.1:{port}" for port in reversed(ports))
    url = f"postgresql://loqua@{hosts}/postgres?target_session_attrs=read-write"
    with (
        started({**tcp, "port": str(ports[0])}) as primary,
        started({**tcp, "port": str(ports[1])}, standby_of=primary) as standby,
    ):
        synchronise(primary)
        database = PostgresDatabase(url)
        async with Ledger.open(database, spool=tmp_path, retry_every=0.1) as ledger:
            row = await ledger.open_lesson(a_lesson(1), "")
            kill(primary)
            await ledger.save_progress(row, 1.0, Progress(words_learned=7), {})
            with pytest.raises(LedgerError, match="see that the server runs"):
                await ledger.open_lesson(a_lesson(2), "")
            assert ledger.spooled == 1
            with psycopg.connect(standby, autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")
            assert await ledger.replay() == 1
            await ledger.take_over(["conversation"])
            assert not await ledger.interrupted()
            await teach(ledger, 2)
            await ledger.interrupt(row)
            [resumed] = await ledger.interrupted()
            assert resumed.progress == Progress(words_learned=7)


async def test_a_server_that_hangs_counts_as_out_of_reach(
    server: tuple[str, int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps connections open and never answers: lessons go on, with their progress on disk."""
    monkeypatch.setattr(_Connection, "answer_seconds", 0.5)
    url, port, _ = server
    with new_database(url, "hanging"):
        async with open_tcp_proxy(("127.0.0.1", port)) as link:
            database = PostgresDatabase(f"postgresql://loqua@{link.address}/hanging")
            async with Ledger.open(database, spool=tmp_path, retry_every=0.1) as ledger:
                rows = [await ledger.open_lesson(a_lesson(number), "") for number in range(5)]
                link.stall()
                async with asyncio.timeout(30):
                    await asyncio.gather(
                        *(ledger.save_progress(row, 1.0, Progress(), {}) for row in rows)
                    )
                assert ledger.spooled == len(rows)
                link.restore()
                assert await ledger.replay() == len(rows)


def synchronise(primary: str) -> None:
    """Make the primary wait for its standby before it acknowledges."""
    with psycopg.connect(primary, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")


def kill(server: str) -> None:
    """Kill a server."""
    with psycopg.connect(server) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row is not None
    postmaster = psutil.Process(int(row[0].splitlines()[0]))
    # Without its postmaster, a backend serves its connection until it notices.
    for process in (postmaster, *postmaster.children()):
        with suppress(psutil.NoSuchProcess):  # a backend that has noticed
            process.kill()

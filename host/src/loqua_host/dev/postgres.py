"""A Postgres server for a test session or a bench."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote
from uuid import uuid4

import psycopg

__all__ = ["PostgresUnavailableError", "as_unprivileged", "new_schema", "run_postgres"]

READY_SECONDS = 60.0
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class PostgresUnavailableError(Exception):
    """No Postgres server can be found; the message says what to do."""


@contextmanager
def run_postgres(
    *,
    durable: bool = True,
    settings: Mapping[str, str] = NO_SETTINGS,
    standby_of: str | None = None,
) -> Iterator[str]:
    """Yield the URL of a server that listens on a Unix socket; stop it at the end of the block.

    It runs as `nobody` where this process is root's, as Postgres refuses that.

    Args:
        durable: Whether what it commits is on disk.
        settings: More of its settings; with `listen_addresses`, it listens on TCP, too.
        standby_of: The URL of a server that it follows, as a streaming replica.

    Raises:
        PostgresUnavailableError: If it is not installed, or does not start.
    """
    initdb, postgres = _binary("initdb"), _binary("postgres")
    with tempfile.TemporaryDirectory(prefix="loqua-postgres-") as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody")
        data = f"{directory}/data"
        if standby_of:
            # The one on PATH is Debian's wrapper, which depends on its own name.
            _copy(str(Path(postgres).with_name("pg_basebackup")), standby_of, data)
        else:
            _make(initdb, data)
        all_of = {"listen_addresses": "", "fsync": "on" if durable else "off", **settings}
        options = [option for key, value in all_of.items() for option in ("-c", f"{key}={value}")]
        command = [*as_unprivileged(), postgres, "-D", data, "-k", directory, *options]
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  # the above
        where = f"host={quote(directory, safe='')}&port={settings.get('port', '5432')}"
        url = f"postgresql:///postgres?{where}&user=loqua"
        try:
            _await(url, process, Path(log.name))
            yield url
        finally:
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:  # a client is still connected
                process.send_signal(2)
                process.wait()


@contextmanager
def new_schema(url: str) -> Iterator[str]:
    """Yield a URL of the same server under which there is nothing yet, and nothing afterwards."""
    name = f"s{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{url}&options=-csearch_path%3D{name}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def _binary(name: str) -> str:
    """Find a program: Debian keeps them out of PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    places = [os.environ.get("PATH", ""), *sorted(map(str, versions), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise PostgresUnavailableError(
            f"{name} is not on PATH; Debian has it in the package postgresql"
        )
    return str(Path(found).resolve())


def as_unprivileged() -> list[str]:
    """Return what a command is run with to end with this process, and not as root."""
    unprivileged = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        unprivileged += ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    return unprivileged


def _make(initdb: str, data: str) -> None:
    options = ["--username=loqua", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    _run(initdb, "--pgdata", data, *options)


def _copy(pg_basebackup: str, url: str, data: str) -> None:
    _run(pg_basebackup, "--dbname", url, "--pgdata", data, "--write-recovery-conf", "--no-sync")


def _run(*command: str) -> None:
    made = subprocess.run(  # noqa: S603  # the above
        [*as_unprivileged(), *command], capture_output=True, text=True, check=False, cwd="/"
    )
    if made.returncode:
        raise PostgresUnavailableError(f"{command[0]} failed: {made.stderr}")


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.05)  # the server does not signal when it listens
        else:
            return
    raise PostgresUnavailableError(f"postgres does not start: {log.read_text()[-500:]}")

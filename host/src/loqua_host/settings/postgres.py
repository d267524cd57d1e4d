"""Validation of LEDGER_URL."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final
from urllib.parse import parse_qs, urlsplit

from loqua_host.errors import Problem

from .loopback import is_loopback

__all__ = ["postgres_problems"]

_VERIFIED: Final = "verify-full"


def postgres_problems(url: str, *, in_production: bool) -> Iterator[Problem]:
    """Find what is wrong with LEDGER_URL, without showing its password."""
    try:
        parts = urlsplit(url if url.isprintable() else "")
        given = parse_qs(parts.query)
        hosts = given.get("host", []) + given.get("hostaddr", [])
        hosts += [one.rsplit("@")[-1] for one in parts.netloc.split(",")]
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"postgresql", "postgres"}:
        hint = "write postgresql://user:password@host/database, with %-escapes where needed"
        yield Problem("LEDGER_URL", "is not a Postgres URL", hint)
        return
    if find_spec("psycopg") is None:
        yield Problem("LEDGER_URL", "needs psycopg", "install loqua-host[postgres]")
    named = [name for host in hosts for one in host.split(",") if (name := _without_port(one))]
    local = all(name.startswith("/") or is_loopback(name) for name in named)
    if in_production and not local and given.get("sslmode") != [_VERIFIED]:
        what = "does not use TLS with a verified server"
        hint = f"add ?sslmode={_VERIFIED}, with sslrootcert if its certificate needs one"
        yield Problem("LEDGER_URL", what, hint)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]

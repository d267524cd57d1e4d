"""Validation of the addresses of Postgres databases."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final
from urllib.parse import parse_qs, urlsplit

from loqua_host.errors import Problem

from .loopback import is_loopback

__all__ = ["postgres_problems"]

_VERIFIED: Final = "verify-full"


def postgres_problems(name: str, url: str, *, in_production: bool) -> Iterator[Problem]:
    """Find what is wrong with the address that a secret of that name holds, without showing it."""
    try:
        parts = urlsplit(url if url.isprintable() else "")
        given = parse_qs(parts.query)
        hosts = given.get("host", []) + given.get("hostaddr", [])
        hosts += [one.rsplit("@")[-1] for one in parts.netloc.split(",")]
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"postgresql", "postgres"}:
        hint = "write postgresql://user:password@host/database, with %-escapes where needed"
        yield Problem(name, "is not a Postgres URL", hint)
        return
    if find_spec("psycopg") is None:
        yield Problem(name, "needs psycopg", "install loqua-host[postgres]")
    places = [place for host in hosts for one in host.split(",") if (place := _without_port(one))]
    local = all(place.startswith("/") or is_loopback(place) for place in places)
    if in_production and not local and given.get("sslmode") != [_VERIFIED]:
        what = "does not use TLS with a verified server"
        hint = f"add ?sslmode={_VERIFIED}, with sslrootcert if its certificate needs one"
        yield Problem(name, what, hint)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]

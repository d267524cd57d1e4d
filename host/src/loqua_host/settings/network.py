"""The variables that say how a network is reached: proxies, and whose certificates are trusted."""

import os
import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loqua_host.errors import Problem
from loqua_host.system.addresses import normalise
from loqua_host.system.proxies import PROXY_VARIABLES

__all__ = ["network_advice", "network_problems"]

_WRITE: Final = "write http://proxy.loqua.app:3128, or unset it"


def network_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find what some client of host or jobs would not follow, or would trip over."""
    for name in PROXY_VARIABLES:
        yield from _spelling_problems(name, environ)
        if name != "NO_PROXY":
            for variable in (name, name.lower()):
                if environ.get(variable):
                    yield from _proxy_problems(variable, environ[variable])
    yield from _trust_problems(environ)


def network_advice(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find what is not refused, and yet may not do what was meant."""
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    if any(_is_range(one.strip()) for one in excluded.split(",")):
        what = "has a range of addresses, which most clients do not know"
        yield Problem(
            "NO_PROXY", what, "write the names or addresses themselves, as config has them"
        )


def _spelling_problems(name: str, environ: Mapping[str, str]) -> Iterator[Problem]:
    upper, lower = environ.get(name), environ.get(name.lower())
    if upper and lower and upper != lower:
        what = f"says something else than {name.lower()}"
        yield Problem(name, what, "set one of them: host and jobs read either")


def _proxy_problems(variable: str, proxy: str) -> Iterator[Problem]:
    if "@" in proxy:
        # Jobs have it in their environment, and with it every tutor.
        what = "has a password in it, which every tutor could read"
        yield Problem(variable, what, f"have the proxy know this machine by its address; {_WRITE}")
        return
    if proxy.lower().startswith("socks"):
        yield Problem(variable, "names a SOCKS proxy, which LiveKit's clients do not speak", _WRITE)
        return
    try:
        path = urlsplit(normalise(proxy, ("http",))).path
    except ValueError as error:
        yield Problem(variable, str(error), _WRITE)
        return
    if path:
        yield Problem(variable, "has a path, and a proxy has none", _WRITE)


def _trust_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    if file := environ.get("SSL_CERT_FILE"):
        yield from _file_problems(file)
    for directory in filter(None, environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
        if not (Path(directory).is_dir() and os.access(directory, os.R_OK | os.X_OK)):
            what = f"{directory} is no directory that the host's user can read"
            yield Problem("SSL_CERT_DIR", what, "name one with certificates, or unset it")


def _file_problems(file: str) -> Iterator[Problem]:
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        why = f"{file} holds no certificate in PEM's form"
    except (OSError, ValueError) as error:
        why = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        return
    yield Problem("SSL_CERT_FILE", why, "name a file with the authorities to trust, or unset it")


def _is_range(entry: str) -> bool:
    try:
        return "/" in entry and bool(ip_network(entry, strict=False))
    except ValueError:
        return False

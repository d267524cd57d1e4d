"""Validation of the proxy and certificate variables, such as HTTPS_PROXY and SSL_CERT_FILE."""

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
    """Find values that some client in the host or its jobs would not follow."""
    for name in PROXY_VARIABLES:
        yield from _spelling_problems(name, environ)
        if name != "NO_PROXY":
            for variable in (name, name.lower()):
                if environ.get(variable):
                    yield from _proxy_problems(variable, environ[variable])
    yield from _trust_problems(environ)


def network_advice(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find values that are allowed and may not have the intended effect."""
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    if any(_is_range(one.strip()) for one in excluded.split(",")):
        what = "has a range of addresses, which most clients ignore"
        yield Problem("NO_PROXY", what, "list the names or addresses, spelled as in config/")


def _spelling_problems(name: str, environ: Mapping[str, str]) -> Iterator[Problem]:
    upper, lower = environ.get(name), environ.get(name.lower())
    if upper and lower and upper != lower:
        what = f"differs from {name.lower()}"
        yield Problem(name, what, "set one of them: host and jobs read both")


def _proxy_problems(variable: str, proxy: str) -> Iterator[Problem]:
    if "@" in proxy:
        # Jobs, and with them every tutor, have the variable in their environment.
        what = "contains a password, which every tutor could read"
        yield Problem(
            variable, what, f"let the proxy authenticate this machine's address; {_WRITE}"
        )
        return
    if proxy.lower().startswith("socks"):
        yield Problem(variable, "is a SOCKS proxy, which LiveKit's clients do not support", _WRITE)
        return
    try:
        path = urlsplit(normalise(proxy, ("http",))).path
    except ValueError as error:
        yield Problem(variable, str(error), _WRITE)
        return
    if path:
        yield Problem(variable, "has a path", _WRITE)


def _trust_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    if file := environ.get("SSL_CERT_FILE"):
        yield from _file_problems(file)
    for directory in filter(None, environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
        if not (Path(directory).is_dir() and os.access(directory, os.R_OK | os.X_OK)):
            what = f"{directory} is not a directory that the host's user can read"
            yield Problem("SSL_CERT_DIR", what, "name a directory with certificates, or unset it")


def _file_problems(file: str) -> Iterator[Problem]:
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        why = f"{file} contains no PEM certificate"
    except (OSError, ValueError) as error:
        why = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        return
    yield Problem("SSL_CERT_FILE", why, "name a file with certificate authorities, or unset it")


def _is_range(entry: str) -> bool:
    try:
        return "/" in entry and bool(ip_network(entry, strict=False))
    except ValueError:
        return False

"""Addresses in settings, parsed once and normalised."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

import idna

__all__ = ["WEB", "WEBSOCKET", "normalise"]

WEB = ("http", "https")
WEBSOCKET = ("ws", "wss")

PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
LONGEST_NAME = 253


def normalise(address: str, schemes: Collection[str]) -> str:
    """Return an address with scheme and host in lower case, the host in ASCII, no `/` at its end.

    Args:
        address: Such as `WSS://LiveKit.loqua.app:443/`.
        schemes: Those that it may have.

    Raises:
        ValueError: If a client could take it for another address than the operator, or it holds
            what this host would drop. The message quotes nothing: there may be a password in it.
    """
    parts = _split(address, schemes)
    if "@" in parts.netloc:
        raise ValueError("has a user or password in it, which belongs into a secret")
    if "?" in address or "#" in address:
        raise ValueError("has a query or a fragment, which would be lost")
    host, port = _host(parts), parts.port
    netloc = host if port in (None, PORTS.get(parts.scheme)) else f"{host}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def _split(address: str, schemes: Collection[str]) -> SplitResult:
    """Return the parts of an address that has a scheme and, if any, a sound port.

    Raises:
        ValueError: If it has not.
    """
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in address):
        raise ValueError("has white space, a backslash or an invisible character in it")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError("has a port or a host that cannot be") from None
    if parts.scheme not in schemes or "://" not in address:
        raise ValueError(f"does not begin with {' or '.join(f'{one}://' for one in schemes)}")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("has a port that cannot be")
    return parts


def _host(parts: SplitResult) -> str:
    """Return the host as every client spells it."""
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return f"[{_ip6(host)}]"
    try:
        name = host if host.isascii() else idna.encode(host).decode()
        if "xn--" in name:
            idna.decode(name)
    except idna.IDNAError:
        raise ValueError("has no host that can be") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > LONGEST_NAME or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("has no host that can be")
    if labels[-1].isdecimal() and not _is_ip4(name):
        raise ValueError("has no host that can be")
    return name


def _ip6(host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError("has no host that can be") from None
    if address.scope_id:
        raise ValueError("has a zone, which not all clients know")
    return str(address)


def _is_ip4(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True

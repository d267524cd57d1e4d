"""Checks of an address: its name, port, certificate and clock."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from loqua_host.system.proxies import proxy_for

from .finding import Check, Verdict, failed, ok

__all__ = ["judge_certificate", "judge_clock", "reach"]

PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
ENCRYPTED = frozenset({"https", "wss"})

DAY = 86_400.0
CERTIFICATE_DAYS = 7
"""Days before its expiry at which a certificate should be renewed."""

SKEW_SECONDS = 30.0
"""LiveKit refuses tokens from more than a minute ahead of its clock."""

FIREWALL = "see whether a firewall drops it, here or there"


def reach(what: str, url: str, variable: str, now: Callable[[], float] = time.time) -> list[Check]:
    """Return the checks whether the address in a variable can be reached."""
    if proxy := proxy_for(url):
        return _reach_proxy(what, proxy, now)
    place = urlsplit(url)
    resolve = Check(
        f"{what}: name",
        lambda: _resolve(place, variable),
        hangs="see whether this machine's name servers answer",
        gate=True,
    )
    connect = Check(
        f"{what}: connection", lambda: _connect(place, variable, now), hangs=FIREWALL, gate=True
    )
    return [resolve, connect]


def _reach_proxy(what: str, proxy: str, now: Callable[[], float]) -> list[Check]:
    """Return the checks of whether a proxy can be reached; what is behind it cannot be checked."""
    place = urlsplit(proxy)
    variable = "HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    return [
        Check(
            f"{what}: proxy",
            lambda: _connect(place, variable, now),
            hangs=f"check {variable}; {FIREWALL}",
            gate=True,
        )
    ]


async def _resolve(place: SplitResult, variable: str) -> Verdict:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(place.hostname, _port(place), type=socket.SOCK_STREAM)
    except OSError as error:
        hint = f"check {variable}, then this machine's name servers"
        return failed(f"{place.hostname} has no address: {error.strerror}", hint)
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return ok(f"{place.hostname} is {', '.join(addresses)}")


async def _connect(place: SplitResult, variable: str, now: Callable[[], float]) -> Verdict:
    encrypted = place.scheme in ENCRYPTED
    context = httpx.create_ssl_context() if encrypted else None
    where = f"{place.hostname}:{_port(place)}"
    try:
        _, writer = await asyncio.open_connection(place.hostname, _port(place), ssl=context)
    except ssl.SSLCertVerificationError as error:
        hint = "renew the certificate there, or set SSL_CERT_FILE to its authority"
        return failed(f"the certificate of {where} is refused: {error.verify_message}", hint)
    except ssl.SSLError as error:
        return failed(
            f"{where} does not support TLS: {error.reason}", f"check {variable}'s scheme, port"
        )
    except OSError as error:
        hint = f"check {variable}; {FIREWALL}"
        return failed(f"{where} refuses the connection: {error.strerror or error}", hint)
    try:
        certificate = writer.get_extra_info("peercert") if encrypted else None
        return judge_certificate(where, certificate, now())
    finally:
        writer.close()


def judge_certificate(where: str, certificate: dict[str, Any] | None, now: float) -> Verdict:
    """Judge a connection by the certificate it came with, None being none.

    Args:
        where: Host and port.
        certificate: As `ssl.SSLSocket.getpeercert` gives it.
        now: Unix seconds.
    """
    if certificate is None:
        return ok(f"{where} accepts unencrypted connections")
    left = (ssl.cert_time_to_seconds(certificate["notAfter"]) - now) / DAY
    if left < CERTIFICATE_DAYS:
        return failed(f"the certificate of {where} expires in {left:.1f} days", "renew it")
    return ok(f"{where} accepts connections; its certificate is valid for {left:.0f} days")


def judge_clock(theirs: float | None, ours: float) -> Verdict:
    """Judge the difference between the clock of an answer's Date and this machine's."""
    if theirs is None:
        return ok("the answer had no Date to compare with")
    ahead = ours - theirs
    if abs(ahead) > SKEW_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        hint = "synchronise the clocks of this machine and of the server (chrony)"
        return failed(f"this machine's clock is {abs(ahead):.0f} s {which} theirs", hint)
    return ok(f"differs by {abs(ahead):.0f} s")


def _port(place: SplitResult) -> int:
    return place.port or PORTS[place.scheme]

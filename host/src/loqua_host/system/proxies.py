"""The HTTP proxy of the environment, for every client of host and jobs.

Clients differ: in which of two spellings they read, whether they know ALL_PROXY and NO_PROXY, and
what they take for a websocket. So the variables are brought into one form before anything starts,
in which all that is read says the same; and the host asks `proxy_for` where a client would not.
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

__all__ = ["PROXY_VARIABLES", "bypass_native", "proxy_for", "proxy_variables"]

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""The variables that an operator may set, in upper or lower case."""

SCHEMES = {"ws": "http", "wss": "https"}

NATIVE = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which all clients find the same proxy.

    aiohttp reads WS_PROXY and WSS_PROXY for websockets, some clients know no ALL_PROXY, and some
    read one spelling alone.
    """
    given = {name: environ.get(name.lower()) or environ.get(name, "") for name in PROXY_VARIABLES}
    plain = given["HTTP_PROXY"] or given["ALL_PROXY"]
    encrypted = given["HTTPS_PROXY"] or given["ALL_PROXY"]
    wanted = {
        "HTTP_PROXY": plain,
        "WS_PROXY": plain,
        "HTTPS_PROXY": encrypted,
        "WSS_PROXY": encrypted,
        "NO_PROXY": given["NO_PROXY"],
    }
    upper = {name: value for name, value in wanted.items() if value}
    return upper | {name.lower(): value for name, value in upper.items()}


def proxy_for(url: str) -> str | None:
    """Return the proxy by which this process reaches an address; None if by none."""
    from urllib.request import getproxies_environment, proxy_bypass  # noqa: PLC0415  # imports much, which the first run of a host must not (environment.py)

    parts = urlsplit(url)
    proxies = getproxies_environment()
    if proxy_bypass(parts.hostname or "", proxies):
        return None
    return proxies.get(SCHEMES.get(parts.scheme, parts.scheme))


def bypass_native(url: str) -> None:
    """Make LiveKit's native client bypass the proxy for an address that NO_PROXY names.

    Its websocket knows HTTP_PROXY and HTTPS_PROXY but not NO_PROXY (livekit 1.1.21). It reads the
    environment of the process; what Python has read of that stays.
    """
    if proxy_for(url) is None:
        for name in NATIVE:
            os.unsetenv(name)

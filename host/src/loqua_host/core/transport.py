"""One HTTP request and its response, over a pooled connection."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import httpx
from pydantic import SecretStr

from loqua_host.errors import UnreachableError

from .clock import Clock
from .pools import Pools
from .versions import ACCEPT, Versions
from .wire import Answer, Request

__all__ = ["HttpTransport", "RequestTrace", "Transport"]

LONGEST_BODY = 1 << 20
"""Maximum bytes of a valid response."""


@dataclass(slots=True)
class RequestTrace:
    """The progress of one request.

    Attributes:
        sent: Whether the API may have got it.
    """

    sent: bool = False

    async def follow(self, event: str, _details: object) -> None:
        """Observe the transport's events (httpcore's extension `trace`)."""
        if event.endswith("send_request_headers.started"):
            self.sent = True
        elif event.endswith(_CONNECTING):
            self.sent = False


_CONNECTING = ("connect_tcp.started", "start_tls.started", "setup_socks5_connection.started")
"""Events before a request is sent; to a proxy, the transport has already sent CONNECT."""


class Transport(Protocol):
    """The interface that sends requests."""

    async def send(
        self, request: Request[Any], jwt: SecretStr, passage: RequestTrace
    ) -> tuple[int, Answer]:
        """Return the response and its status, of any status code.

        Args:
            request: The request.
            jwt: The JWT to send it with.
            passage: Records how far the request gets.

        Raises:
            ApiError: If there is no answer.
            Exception: Whatever libraries raise; TimeoutError after the time for one attempt.
        """


class HttpTransport:
    """Send one request at a time for each caller.

    Args:
        pools: Where its connections are.
        versions: Which version of the API is spoken, and what an answer says of it.
        timeout: Seconds for one round trip.
        clock: The time, to compare a version's end with.
    """

    def __init__(self, pools: Pools, versions: Versions, timeout: float, clock: Clock) -> None:
        self._pools = pools
        self._versions = versions
        self._timeout = timeout
        self._clock = clock

    async def send(
        self, request: Request[Any], jwt: SecretStr, passage: RequestTrace
    ) -> tuple[int, Answer]:
        """Return the response and its status, of any status code.

        If the API no longer has the version, the request is made again in another one.

        Args:
            request: The request.
            jwt: The JWT to send it with.
            passage: Records how far the request gets.

        Raises:
            UnreachableError: If the API has none of the versions that this host speaks.
            Exception: Whatever transports and libraries raise; TimeoutError after the time for
                one attempt.
        """
        async with asyncio.timeout(self._timeout), self._pools.client() as http:
            for _ in self._versions.spoken:
                version = self._versions.current
                outgoing = self._outgoing(http, version, request, jwt)
                outgoing.extensions["trace"] = passage.follow
                passage.sent = True
                async with aclosing(await http.send(outgoing, stream=True)) as response:
                    status = response.status_code
                    answer = Answer(_fields(response), await _body(request.endpoint, response))
                if not self._versions.handle(version, status, answer.headers, self._clock.now()):
                    return status, answer
        message = f"the API has none of the versions {self._versions.accept}: update loqua-host"
        raise UnreachableError(request.endpoint, message, status=status, sent=False)

    def _outgoing(
        self, http: httpx.AsyncClient, version: str, request: Request[Any], jwt: SecretStr
    ) -> httpx.Request:
        return http.build_request(
            request.method,
            _url(http.base_url, f"/api/{version}/agent{request.path}"),
            content=request.body_in(version),
            headers=self._headers(request, jwt),
        )

    def _headers(self, request: Request[Any], jwt: SecretStr) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {jwt.get_secret_value()}",
            "X-Agent-ID": request.caller.agent_id,
            "Content-Type": "application/json",
            # No proxy may cache an answer or serve a cached one.
            "Cache-Control": "no-cache, no-store",
            ACCEPT: self._versions.accept,
            **request.headers,
        }
        return headers if request.key is None else {**headers, "Idempotency-Key": request.key}


@lru_cache(maxsize=64)
def _url(base: httpx.URL, path: str) -> httpx.URL:
    """Return the URL of a path, parsed once: for each call, that takes as long as its headers."""
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + path.encode())


def _fields(response: httpx.Response) -> dict[str, str]:
    # A plain dict: httpx.Headers searches and decodes all of them at each look-up.
    fields: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


async def _body(endpoint: str, response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise UnreachableError(
                endpoint, "answered more than 1 MiB", status=response.status_code
            )
    return bytes(body)

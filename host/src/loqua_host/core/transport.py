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
from .settings import CoreSettings
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
        settings: The section `api:`.
        clock: The time, to compare a version's end with.
    """

    def __init__(
        self, pools: Pools, versions: Versions, settings: CoreSettings, clock: Clock
    ) -> None:
        self._pools = pools
        self._versions = versions
        self._base = str(settings.api_base_url).rstrip("/")
        self._timeout = settings.attempt_timeout
        self._timeouts = httpx.Timeout(None, connect=settings.connect_timeout).as_dict()
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
        async with asyncio.timeout(self._timeout), self._pools.transport() as http:
            for _ in self._versions.spoken:
                version = self._versions.current
                outgoing = self._outgoing(version, request, jwt, passage)
                passage.sent = True
                async with aclosing(await http.handle_async_request(outgoing)) as response:
                    status = response.status_code
                    answer = Answer(_fields(response), await _body(request.endpoint, response))
                if not self._versions.handle(version, status, answer.headers, self._clock.now()):
                    return status, answer
        message = f"the API has none of the versions {self._versions.accept}: update loqua-host"
        raise UnreachableError(request.endpoint, message, status=status, sent=False)

    def _outgoing(
        self, version: str, request: Request[Any], jwt: SecretStr, passage: RequestTrace
    ) -> httpx.Request:
        return httpx.Request(
            request.method,
            _url(f"{self._base}/api/{version}/agent{request.path}"),
            content=request.body_in(version),
            headers=self._headers(request, jwt),
            extensions={"timeout": self._timeouts, "trace": passage.follow},
        )

    def _headers(self, request: Request[Any], jwt: SecretStr) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {jwt.get_secret_value()}",
            "X-Agent-ID": request.caller.agent_id,
            "Content-Type": "application/json",
            # No proxy may cache an answer or serve a cached one.
            "Cache-Control": "no-cache, no-store",
            "User-Agent": "loqua-host",
            "Accept-Encoding": "gzip, deflate",
            ACCEPT: self._versions.accept,
            **request.headers,
        }
        return headers if request.key is None else {**headers, "Idempotency-Key": request.key}


@lru_cache(maxsize=64)
def _url(url: str) -> httpx.URL:
    """Return a URL, parsed once: for each call, that takes as long as its headers."""
    return httpx.URL(url)


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

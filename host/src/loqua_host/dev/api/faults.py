"""Faults on demand.

A fault wraps the API (`wrap`), or changes what the API does for one request (`override`).
Several in force at once nest in their order, the first outermost.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from .errors import ApiRefusedError

Endpoint = Literal["user-token", "progress", "sessions", "context", "health"]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")]


@dataclass(frozen=True, slots=True)
class ResponseOverrides:
    """Changes of one request's handling by the active faults.

    Attributes:
        skew: How far the API's clock is ahead, in seconds.
        token_lifetime: Replaces the settings' in the exchange.
        permissions: Replace the usual ones in the exchange.
        wrong_key: Whether the exchange encrypts with another secret.
    """

    skew: float = 0
    token_lifetime: int | None = None
    permissions: tuple[str, ...] | None = None
    wrong_key: bool = False


class Fault(BaseModel):
    """A fault, for one endpoint or all, a number of times or until it is lifted.

    Attributes:
        endpoint: None is every endpoint of the guide.
        count: How many requests it affects before it ends; None is no limit.
        rate: The share of requests that it affects, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Endpoint | None = None
    count: int | None = Field(default=None, ge=1)
    rate: float = Field(default=1, ge=0, le=1)

    def override(self, overrides: ResponseOverrides) -> ResponseOverrides:
        """Return what handlers do differently."""
        return overrides

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the API with this fault around it."""
        return app


class Latency(Fault):
    """Answer late."""

    kind: Literal["latency"] = "latency"
    seconds: Seconds

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the API with a delay."""

        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(self.seconds)
            await app(scope, receive, send)

        return late


class Error(Fault):
    """Answer with a given error, such as 404 and `USER_NOT_FOUND`."""

    kind: Literal["error"] = "error"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z_]{1,64}$")] = "INTERNAL_ERROR"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers with the error."""
        return _refusal(self.status, self.code, "an error that was asked for")


class Intercepted(Fault):
    """Answer as a proxy, firewall or web server before the API does, without the API's body."""

    kind: Literal["intercepted"] = "intercepted"
    status: Annotated[int, Field(ge=200, le=599)] = 404
    body: Annotated[str, StringConstraints(max_length=1000)] = "404 page not found"
    media_type: Literal["text/plain", "text/html", "application/json"] = "text/plain"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers with the page."""
        return Response(self.body, self.status, media_type=self.media_type)


class RateLimited(Fault):
    """Answer 429 with `Retry-After`, in seconds or as a date, and `RateLimit-*`."""

    kind: Literal["rate_limited"] = "rate_limited"
    retry_after: Annotated[int, Field(ge=0, le=86_400)] = 1
    as_date: bool = False
    limit: Annotated[int, Field(ge=0)] = 60

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers with the refusal."""
        return _refusal(
            HTTPStatus.TOO_MANY_REQUESTS, "RATE_LIMITED", "too many requests", self._headers
        )

    def _headers(self, now: float) -> dict[str, str]:
        date = formatdate(now + self.retry_after, usegmt=True)
        return {
            "Retry-After": date if self.as_date else str(self.retry_after),
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(self.retry_after),
        }


class Outage(Fault):
    """Close the connection without an answer, or answer 503."""

    kind: Literal["outage"] = "outage"
    answer: Literal["closed", "503"] = "closed"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an app that closes the connection, or answers with the refusal."""
        if self.answer == "closed":
            return _cut
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "the API is down")


class LostAnswer(Fault):
    """Handle the request, then close the connection without an answer."""

    kind: Literal["lost_answer"] = "lost_answer"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the API without its answer."""

        async def mute(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, _dropped)
            await _cut(scope, receive, send)

        return mute


class Hang(Fault):
    """Never answer."""

    kind: Literal["hang"] = "hang"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Silence."""
        return _hang


class GarbageBody(Fault):
    """Answer 200 with a body that is not JSON."""

    kind: Literal["garbage_body"] = "garbage_body"

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers with the garbage."""
        return Response(b'\x00{"<html>', media_type="application/json")


class ExtraHeaders(Fault):
    """Add headers to the answer, such as `RateLimit-Remaining`, `Deprecation` or `Sunset`."""

    kind: Literal["headers"] = "headers"
    headers: dict[HeaderName, HeaderValue]

    @override
    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return the API with these headers in its answer."""

        async def marked(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, with_headers(send, lambda: self.headers))

        return marked


class WrongCiphertext(Fault):
    """Encrypt the learner's JWT with another secret."""

    kind: Literal["wrong_ciphertext"] = "wrong_ciphertext"

    @override
    def override(self, overrides: ResponseOverrides) -> ResponseOverrides:
        """Return the override of the secret."""
        return replace(overrides, wrong_key=True)


class ShortLivedToken(Fault):
    """Set the lifetime of the learner's JWT, in seconds."""

    kind: Literal["short_lived_token"] = "short_lived_token"
    expires_in: Annotated[int, Field(ge=0, le=86_400)]

    @override
    def override(self, overrides: ResponseOverrides) -> ResponseOverrides:
        """Return the override of the lifetime."""
        return replace(overrides, token_lifetime=self.expires_in)


class FewerPermissions(Fault):
    """Limit the permissions of the learner's JWT."""

    kind: Literal["fewer_permissions"] = "fewer_permissions"
    permissions: tuple[str, ...] = ()

    @override
    def override(self, overrides: ResponseOverrides) -> ResponseOverrides:
        """Return the override of the permissions."""
        return replace(overrides, permissions=self.permissions)


class ClockSkew(Fault):
    """Set the API's clock ahead (or back): its `Date`, its timestamps, its tokens' times."""

    kind: Literal["clock_skew"] = "clock_skew"
    seconds: Annotated[float, Field(ge=-86_400, le=86_400, allow_inf_nan=False)]

    @override
    def override(self, overrides: ResponseOverrides) -> ResponseOverrides:
        """Return the override of the time."""
        return replace(overrides, skew=overrides.skew + self.seconds)


AnyFault = Annotated[
    Latency
    | Error
    | Intercepted
    | RateLimited
    | Outage
    | LostAnswer
    | Hang
    | GarbageBody
    | ExtraHeaders
    | WrongCiphertext
    | ShortLivedToken
    | FewerPermissions
    | ClockSkew,
    Field(discriminator="kind"),
]


def with_headers(send: Send, headers: Callable[[], dict[str, str]]) -> Send:
    """Return a `send` that sets `headers`, which it calls when the answer starts."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers())
        await send(message)

    return marked


def _refusal(
    status: int,
    code: str,
    message: str,
    headers: Callable[[float], dict[str, str]] = lambda _now: {},
) -> ASGIApp:
    """Return an app that refuses every request."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        now: float = scope["state"]["now"]
        answer = ApiRefusedError(status, code, message).answer(now, headers(now))
        await answer(scope, receive, send)

    return refuse


async def _dropped(_message: Message) -> None:
    pass


async def _hang(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive, send: Send) -> None:
    """Drop the connection, which the server leaves under `state.cut`."""
    if "cut" not in scope["state"]:
        raise ConnectionResetError("a fault of the dev API drops this connection")
    scope["state"]["cut"]()
    await _hang(scope, receive, send)

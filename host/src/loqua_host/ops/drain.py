"""The endpoint that drains the host."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

__all__ = ["DRAIN", "Drain", "receive_drain"]

DRAIN = "/drain"


@dataclass(frozen=True, slots=True)
class Drain:
    """A drain requested by an operator: no more jobs, and running lessons end by themselves.

    Attributes:
        requested: Set once it is requested.
        done: Set once no lesson is left.
    """

    requested: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


def receive_drain(tokens: Callable[[], Sequence[SecretStr]], drain: Drain) -> Handler:
    """Return a handler that requests the drain, and answers once it is done.

    A client that disconnects earlier changes nothing. Without an `OPS_TOKEN`, or without a bearer
    token, the answer is 403.

    Args:
        tokens: Returns the current tokens. The application's guard compares them.
        drain: The drain.
    """

    async def handle(request: web.Request) -> web.Response:
        if not tokens():  # jobs reach loopback, and a tutor must not stop the host
            return web.Response(status=403, text="set OPS_TOKEN: a drain needs it\n")
        if not request.headers.get(hdrs.AUTHORIZATION, "").lower().startswith("bearer "):
            # A browser adds a remembered password to the requests of any page.
            return web.Response(status=403, text="send OPS_TOKEN as a bearer token\n")
        drain.requested.set()
        await drain.done.wait()
        return web.Response(text="drained\n")

    return handle

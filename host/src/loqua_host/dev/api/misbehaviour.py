"""The faults in force, and the middleware that lets them strike."""

import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import reduce
from typing import cast, get_args

from starlette.types import ASGIApp, Receive, Scope, Send

from .faults import AnyFault, Bend, Endpoint, Fault, with_headers

_PATH = re.compile(r"/api/v\d/agent/(?:user/[^/]+/)?([^/]+)")


def endpoint_of(path: str) -> Endpoint | None:
    """The guide's endpoint at `path`, by the name that faults know it by."""
    match = _PATH.fullmatch(path)
    known = match is not None and match[1] in get_args(Endpoint)
    return cast(Endpoint, match[1]) if match and known else None


class FaultBoard:
    """The faults in force, each with the number of times it still strikes."""

    def __init__(self, faults: Iterable[AnyFault], random: Callable[[], float]) -> None:
        self._faults = list(faults)
        self._random = random

    def replace(self, faults: Iterable[AnyFault]) -> None:
        """Puts these faults in force, and no others."""
        self._faults = list(faults)

    def in_force(self) -> tuple[AnyFault, ...]:
        """The faults that still strike, counts as they are left."""
        return tuple(self._faults)

    def strike(self, endpoint: Endpoint | None) -> list[Fault]:
        """The faults that strike one request now, which uses up their counts."""
        struck: list[Fault] = []
        left: list[AnyFault] = []
        for fault in self._faults:
            strikes = self._strikes(fault, endpoint)
            struck += [fault] if strikes else []
            left += _after(fault) if strikes else [fault]
        self._faults = left
        return struck

    def _strikes(self, fault: Fault, endpoint: Endpoint | None) -> bool:
        concerned = endpoint is not None and fault.endpoint in {None, endpoint}
        return concerned and self._random() < fault.rate


def _after(fault: AnyFault) -> list[AnyFault]:
    """What is left of a fault that struck once: itself, or nothing."""
    if fault.count is None:
        return [fault]
    return [fault.model_copy(update={"count": fault.count - 1})] if fault.count > 1 else []


class Misbehaviour:
    """Middleware that wraps each request in the faults that strike it, and dates the answer.

    Handlers find what they are to do otherwise in `request.state.bend`, and the time in
    `request.state.now`.
    """

    def __init__(self, app: ASGIApp, board: FaultBoard, clock: Callable[[], float]) -> None:
        self._app, self._board, self._clock = app, board, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        faults = self._board.strike(endpoint_of(scope["path"]))
        bend = reduce(lambda bent, fault: fault.bend(bent), faults, Bend())
        scope.setdefault("state", {}).update(bend=bend, now=self._clock() + bend.skew)

        def date() -> dict[str, str]:
            return {"Date": formatdate(self._clock() + bend.skew, usegmt=True)}

        app = reduce(lambda app, fault: fault.wrap(app), reversed(faults), self._app)
        await app(scope, receive, with_headers(send, date))

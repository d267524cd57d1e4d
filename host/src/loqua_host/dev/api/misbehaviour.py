"""The active faults, and the middleware that applies them."""

import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import reduce
from typing import cast, get_args

from starlette.types import ASGIApp, Receive, Scope, Send

from .faults import AnyFault, Endpoint, Fault, ResponseOverrides, with_headers

_PATH = re.compile(r"/api/v\d/agent/(?:user/[^/]+/)?([^/]+)")


def endpoint_of(path: str) -> Endpoint | None:
    """Return the guide's endpoint at `path`, by the name that faults use."""
    match = _PATH.fullmatch(path)
    known = match is not None and match[1] in get_args(Endpoint)
    return cast(Endpoint, match[1]) if match and known else None


class ActiveFaults:
    """The active faults, each with its remaining count."""

    def __init__(self, faults: Iterable[AnyFault], random: Callable[[], float]) -> None:
        self._faults = list(faults)
        self._random = random

    def replace(self, faults: Iterable[AnyFault]) -> None:
        """Activate these faults, and no others."""
        self._faults = list(faults)

    def in_force(self) -> tuple[AnyFault, ...]:
        """Return the active faults, with their remaining counts."""
        return tuple(self._faults)

    def take(self, endpoint: Endpoint | None) -> list[Fault]:
        """Return the faults that affect one request, and decrement their counts."""
        taken: list[Fault] = []
        left: list[AnyFault] = []
        for fault in self._faults:
            applies = self._applies(fault, endpoint)
            taken += [fault] if applies else []
            left += _after(fault) if applies else [fault]
        self._faults = left
        return taken

    def _applies(self, fault: Fault, endpoint: Endpoint | None) -> bool:
        concerned = endpoint is not None and fault.endpoint in {None, endpoint}
        return concerned and self._random() < fault.rate


def _after(fault: AnyFault) -> list[AnyFault]:
    """Return the fault after one request: with a lower count, or none."""
    if fault.count is None:
        return [fault]
    return [fault.model_copy(update={"count": fault.count - 1})] if fault.count > 1 else []


class Misbehaviour:
    """Middleware that applies faults to each request, and dates the response.

    Handlers find what they are to do otherwise in `request.state.overrides`, and the time in
    `request.state.now`.
    """

    def __init__(self, app: ASGIApp, faults: ActiveFaults, clock: Callable[[], float]) -> None:
        self._app, self._faults, self._clock = app, faults, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        faults = self._faults.take(endpoint_of(scope["path"]))
        overrides = reduce(
            lambda overridden, fault: fault.override(overridden), faults, ResponseOverrides()
        )
        scope.setdefault("state", {}).update(
            overrides=overrides, now=self._clock() + overrides.skew
        )

        def date() -> dict[str, str]:
            return {"Date": formatdate(self._clock() + overrides.skew, usegmt=True)}

        app = reduce(lambda app, fault: fault.wrap(app), reversed(faults), self._app)
        await app(scope, receive, with_headers(send, date))

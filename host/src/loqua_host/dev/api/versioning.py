"""The two versions of the API side by side, and the end of v1."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from loqua_host.core.versions import OFFERED

from .errors import ApiRefusedError, moment
from .faults import with_headers

NOTICE: Final = timedelta(days=183)
"""The time from v1's deprecation to its end: the guide's six months."""

_VERSION = re.compile(r"/api/(v\d)/agent/")


class Versioning:
    """Middleware that names the versions offered and announces the end of v1.

    From six months before the sunset, answers in v1 have `Deprecation` (RFC 9745) and `Sunset`
    (RFC 8594). After it, v1 answers 410.

    Args:
        app: The API.
        sunset: When v1 ends; None if it does not.
    """

    def __init__(self, app: ASGIApp, sunset: datetime | None) -> None:
        self._app, self._sunset = app, sunset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        version = _VERSION.match(scope["path"]) if scope["type"] == "http" else None
        if version is None:
            await self._app(scope, receive, send)
            return
        now: float = scope["state"]["now"]
        headers = self._headers(version[1], moment(now))
        ended = version[1] not in headers[OFFERED]
        await (_gone(now) if ended else self._app)(
            scope, receive, with_headers(send, lambda: headers)
        )

    def _headers(self, version: str, now: datetime) -> dict[str, str]:
        if self._sunset is None or now < self._sunset - NOTICE:
            return {OFFERED: "v1, v2"}
        offered = "v2" if now >= self._sunset else "v1, v2"
        if version != "v1":
            return {OFFERED: offered}
        return {
            OFFERED: offered,
            "Deprecation": f"@{int((self._sunset - NOTICE).timestamp())}",
            "Sunset": format_datetime(self._sunset.astimezone(UTC), usegmt=True),
        }


def _gone(now: float) -> ASGIApp:
    refusal = ApiRefusedError(HTTPStatus.GONE, "VERSION_ENDED", "v1 has ended: use v2")
    return refusal.answer(now)

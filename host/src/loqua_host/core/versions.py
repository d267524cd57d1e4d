"""Which version of the API is spoken, and what it says of the version's end."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from .rate_headers import http_date

__all__ = ["ACCEPT", "OFFERED", "Versions"]

log = structlog.get_logger()

ACCEPT = "Accept-Version"
"""The request header that names the versions this client speaks, best first."""

OFFERED = "api-supported-versions"
"""The answer header in which the API names the versions it offers."""

YEAR_10000 = 253_402_300_800
"""Seconds since 1970 at which `datetime` ends."""


class Versions:
    """Starts with the oldest version spoken and moves to the best that both sides speak."""

    def __init__(self, spoken: tuple[str, ...] = ("v1",)) -> None:
        self.current = spoken[-1]
        self._spoken = spoken
        self._warned: set[str] = set()

    @property
    def accept(self) -> str:
        """Return the value of the `Accept-Version` header."""
        return ", ".join(self._spoken)

    def handle(self, version: str, headers: Mapping[str, str]) -> None:
        """Take in what an answer to a call of that version says about versions."""
        offered = set(re.findall(r"v\d+", headers.get(OFFERED, "")))
        if offered:
            common = [spoken for spoken in self._spoken if spoken in offered]
            self.current = common[0] if common else self._spoken[-1]
        self._warn(version, headers.get("deprecation", ""), headers.get("sunset", ""))

    def _warn(self, version: str, deprecation: str, sunset: str) -> None:
        if not (deprecation or sunset) or version in self._warned:
            return
        self._warned.add(version)
        log.warning(
            "api.deprecated",
            version=version,
            deprecation=_day(deprecation),
            sunset=_day(sunset),
        )


def _day(header: str) -> str | None:
    """Return the day a header names: `@seconds` (RFC 9745), an HTTP date, or else its words."""
    seconds = re.fullmatch(r"@(\d{1,11})", header, re.ASCII)
    moment = float(seconds[1]) if seconds else http_date(header)
    if moment is None or not 0 <= moment < YEAR_10000:
        return header or None
    return datetime.fromtimestamp(moment, UTC).date().isoformat()

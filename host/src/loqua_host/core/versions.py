"""Negotiation of the API's version, and announcements of its end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from math import inf
from typing import Final

import structlog

from .rate_headers import http_date

__all__ = ["ACCEPT", "OFFERED", "SPOKEN", "VersionStatus", "Versions"]

log = structlog.get_logger()

ACCEPT = "Accept-Version"
"""The request header that names the versions this client speaks, best first."""

OFFERED = "api-supported-versions"
"""The answer header in which the API names the versions it offers."""

SPOKEN: Final = ("v2", "v1")
"""The versions that this client supports, best first."""

YEAR_10000 = 253_402_300_800
"""Seconds since 1970 at which `datetime` ends."""

DAY: Final = 86_400.0
LAST_MONTH: Final = 30 * DAY
"""Before a sunset: from then on the warning is repeated daily."""

ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.GONE})
"""Statuses that an API answers to calls of a version that it does not have."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version of the API.

    Attributes:
        version: Its name, such as `v1`.
        deprecated: Whether the API has announced its end (RFC 9745).
        sunset: When the API stops to serve it (RFC 8594), in Unix seconds; None if unknown.
    """

    version: str
    deprecated: bool = False
    sunset: float | None = None


class Versions:
    """The API's versions: start with the oldest, then use the newest that both sides support."""

    def __init__(self, spoken: tuple[str, ...] = ("v1",)) -> None:
        self.spoken = spoken
        self._offered = frozenset(spoken[-1:])
        self._notices: dict[str, VersionStatus] = {}
        self._next_warning: dict[str, float] = {}

    @property
    def current(self) -> str:
        """Return the version of the next call."""
        return next((one for one in self.spoken if one in self._offered), self.spoken[-1])

    @property
    def status(self) -> VersionStatus:
        """Return what is known of the current version's end."""
        return self._notices.get(self.current, VersionStatus(self.current))

    @property
    def accept(self) -> str:
        """Return the value of the `Accept-Version` header."""
        return ", ".join(self.spoken)

    def handle(self, version: str, status: int, headers: Mapping[str, str], now: float) -> bool:
        """Take in what an answer to a call of that version says about versions.

        Args:
            version: The call's.
            status: The answer's.
            headers: The answer's, by names in lower case.
            now: The time in Unix seconds.

        Returns:
            Whether the API did not process the call, because it no longer has that version.
        """
        offered = frozenset(re.findall(r"v\d+", headers.get(OFFERED, "")))
        if offered:
            self._offered = offered
        elif status == HTTPStatus.GONE:
            self._offered = frozenset(self.spoken) - {version}
        if version == self.current:  # the end of a version that is not used does not matter
            self._notice(version, headers.get("deprecation", ""), headers.get("sunset", ""), now)
        return status in ABSENT and version not in self._offered

    def _notice(self, version: str, deprecation: str, sunset: str, now: float) -> None:
        """Log the end of a version: at the first notice, and daily in the last month."""
        if not (deprecation or sunset):
            return
        end = _moment(sunset)
        self._notices[version] = VersionStatus(version, deprecated=True, sunset=end)
        if now < self._next_warning.get(version, -inf):
            return
        self._next_warning[version] = inf if end is None else max(now + DAY, end - LAST_MONTH)
        log.warning(
            "api.deprecated",
            version=version,
            deprecation=_day(deprecation),
            sunset=_day(sunset),
        )


def _moment(header: str) -> float | None:
    """Return the Unix time a header names: `@seconds` (RFC 9745) or an HTTP date."""
    seconds = re.fullmatch(r"@(\d{1,11})", header, re.ASCII)
    moment = float(seconds[1]) if seconds else http_date(header)
    return None if moment is None or not 0 <= moment < YEAR_10000 else moment


def _day(header: str) -> str | None:
    """Return the day a header names, or else its words."""
    moment = _moment(header)
    if moment is None:
        return header or None
    return datetime.fromtimestamp(moment, UTC).date().isoformat()

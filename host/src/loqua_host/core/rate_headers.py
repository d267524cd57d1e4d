"""Times in a response's headers: the server's date, and the requested pause.

A value that cannot be read is a reason for caution: the pause is `CAUTION` then.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = ["CAUTION", "http_date", "server_time", "wait_asked"]

CAUTION = 5.0
"""Seconds to wait if the requested pause cannot be parsed."""

FARTHEST = 2 * 86_400.0
"""Seconds between two clocks beyond which a `Date` is invalid, not from a wrong clock."""

TOO_MANY = 429
ERROR = 400

EPOCH_SECONDS, EPOCH_MILLISECONDS = 1e9, 1e11
"""A reset of so many is a moment since 1970: in seconds from 2001 on, in milliseconds from 1973."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d*)?(?:ms|s|m|h|d))+", re.ASCII)
_UNIT = re.compile(r"(\d+(?:\.\d*)?)(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_FIELD = re.compile(r"(x-)?rate-?limit-(remaining|reset(?:-after)?)(-[\w-]+)?", re.ASCII)

Policy = tuple[str | None, str | None]
"""The remaining quota, and the time of its reset, as in a response."""


def wait_asked(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that an answer asks callers to wait, or None.

    An error's `Retry-After` comes as seconds or as a date (RFC 9110). A quota that is used up
    comes as `RateLimit`, in the forms of the IETF drafts, or as `RateLimit-Remaining: 0` with
    `RateLimit-Reset`, also with `X-` and as `Rate-Limit`; the reset is in seconds, since 1970
    (in milliseconds, too), or a date. Of several the longest wait counts.
    """
    now = server_time(headers.get("date"), now)
    asked = headers.get("retry-after") if status >= ERROR else None
    pause = None if asked is None else _longest(_pause(one, now) for one in asked.split(","))
    if pause is not None:
        return pause
    waits = [
        _longest(_reset(one, now) for one in reset.split(","))
        for left, reset in (*_classic(headers), *_structured(headers.get("ratelimit", "")))
        if reset is not None and _is_used_up(left, status)
    ]
    if waits or asked is not None:
        return max((CAUTION if wait is None else wait for wait in waits), default=CAUTION)
    return None


def server_time(date: str | None, now: float) -> float:
    """Return the server's own time by its `Date`; ours where it has none, or an absurd one."""
    moment = http_date(date or "")
    return now if moment is None or abs(moment - now) > FARTHEST else moment


@lru_cache(maxsize=64)  # Each answer has its `Date`, the same for a second.
def http_date(value: str) -> float | None:
    """Return an HTTP date as seconds since 1970, or None if it is invalid.

    A date without a zone is GMT (RFC 9110), whatever this machine's zone is.
    """
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _classic(headers: Mapping[str, str]) -> Iterator[Policy]:
    """Yield the quotas that have separate fields for the remaining calls and the reset."""
    quotas: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in headers.items():
        if field := _FIELD.fullmatch(name):
            quotas.setdefault((field[1] or "", field[3] or ""), {})[field[2]] = value
    for quota in quotas.values():
        left, reset = quota.get("remaining"), quota.get("reset-after", quota.get("reset"))
        if reset is None:
            continue
        lefts = [None] if left is None else left.split(",")
        resets = reset.split(",")
        if len(lefts) == len(resets):
            yield from zip(lefts, resets, strict=True)
        else:
            yield from ((one, reset) for one in lefts)


def _structured(field: str) -> Iterator[Policy]:
    """Yield the quotas of one `RateLimit`: `"daily";r=0;t=30`, or `remaining=0, reset=30`."""
    field = _QUOTED.sub("policy", field.lower())
    for policy in [field] if "remaining" in field else field.split(","):
        said = dict(re.findall(r"([a-z]+)\s*=\s*([^;,\s]+)", policy, re.ASCII))
        yield said.get("r", said.get("remaining")), said.get("t", said.get("reset"))


def _is_used_up(left: str | None, status: int) -> bool:
    """Return whether nothing is left; after a 429 nothing is, unless the answer says otherwise."""
    number = None if left is None else _number(left.split(";")[0])
    if number is None:
        return status == TOO_MANY
    return number == 0 or (number < 0 and status == TOO_MANY)


def _longest(waits: Iterable[float | None]) -> float | None:
    return max((wait for wait in waits if wait is not None), default=None)


def _reset(text: str, now: float) -> float | None:
    number = _number(text)
    if number is None or number < EPOCH_SECONDS:
        return _pause(text, now)
    return max(0.0, (number if number < EPOCH_MILLISECONDS else number / 1000) - now)


def _pause(text: str, now: float) -> float | None:
    text = text.split(";", maxsplit=1)[0].strip()
    number = _number(text)
    if number is not None:
        return number if number >= 0 else None
    if _DURATION.fullmatch(text):
        return sum(float(count) * _UNITS[unit] for count, unit in _UNIT.findall(text))
    moment = _moment(text)
    return None if moment is None else max(0.0, moment - now)


def _number(text: str) -> float | None:
    text = text.strip().strip('"')
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return http_date(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

"""Classification of error responses: from the API, or from a proxy before it.

A status alone is no verdict: ingresses, firewalls and web servers answer 404 or 403 for an API
that is not there. The API's own errors have the guide's body, `{"error": {"code": "…"}}`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import SecretStr

from loqua_host.errors import ApiError, LoquaError, RefusedError, UnreachableError

from .echo import without_echo
from .json_reader import parse_json
from .rate_headers import server_time
from .tokens import read_payload

__all__ = ["UNAUTHORIZED", "ErrorDetails", "Prematurity", "judge", "prematurity", "read_error"]

UNAUTHORIZED = 401

_CODE = re.compile(r"[A-Za-z][\w.-]{0,99}", re.ASCII)
"""A code in the API's own words; gateways repeat the status as a number in its place."""

_NOT_PROCESSED = frozenset({408, 425, 429})
"""Statuses of a request that was not processed and may be sent again."""

_AGENT_REFUSED = (
    "agent authentication failed: check that AGENT_JWT_TOKEN is valid, has not expired and was "
    "issued to this AGENT_ID"
)
_HINTS = {
    ("user-token", 401): _AGENT_REFUSED,
    ("user-token", 403): _AGENT_REFUSED,
    ("user-token", 404): "the API does not know this user_id: let learners enter with a token of "
    "the same API's /rooms/join",
}
"""Hints from the guide's troubleshooting list, by endpoint and status."""

_NOT_THE_API = (
    "without the error body of the Loqua API, so a proxy or load balancer may have answered in "
    "its place; check API_BASE_URL and what stands before the API"
)

NEW_SECONDS = 10.0
"""A token this young may be refused only because another machine's clock is behind."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The printable details of an error response, without tokens.

    Attributes:
        code: Its code, or what stands for one.
        message: Its words; empty where there are none.
        official: Whether it has the form of the API's own errors.
        says_early: Whether it speaks of a token that is not valid yet.
        says_ended: Whether it speaks of a token that is valid no longer.
    """

    code: str = ""
    message: str = ""
    official: bool = False
    says_early: bool = False
    says_ended: bool = False

    def __str__(self) -> str:
        """Return code and words as one line."""
        return ": ".join(filter(None, (self.code, self.message))) or "no reason given"


class Prematurity(Enum):
    """The certainty that a refused token is only not valid yet."""

    STATED = "stated"
    POSSIBLE = "possible"
    NO = "no"


def read_error(
    body: bytes, headers: Mapping[str, str] | None = None, sent: bytes | None = None
) -> ErrorDetails:
    """Return what an error answer says, in any of the forms in use.

    Those are the guide's, OAuth's (RFC 6749), problem details (RFC 9457), PostgREST's, those of
    common web frameworks, and a `WWW-Authenticate` header (RFC 6750).

    Args:
        body: The answer's body.
        headers: The answer's headers, by names in lower case.
        sent: The JSON that was sent: what it reports of a learner is left out of the words.
    """
    try:
        document = parse_json(body)
    except ValueError:
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    official = isinstance(code, str) and _CODE.fullmatch(code) is not None
    parts = list(dict.fromkeys(_parts(document))) or _challenge(headers or {})
    # If there is a code, it is the first part: a word without blanks.
    first = parts[0] if parts and not re.search(r"\s", parts[0]) else ""
    words = ": ".join(parts[1:] if first else parts)
    said = _words(" ".join(parts))
    return ErrorDetails(
        code=_printable(first if official else without_echo(first, sent)),
        message=_printable(without_echo(words, sent)),
        official=official,
        says_early=_EARLY.search(said) is not None,
        says_ended=_ENDED.search(said) is not None,
    )


def judge(
    endpoint: str, status: int, details: ErrorDetails, retry_after: float | None = None
) -> ApiError:
    """Return the error for an answer that is no success.

    Args:
        endpoint: Its short name.
        status: The answer's.
        details: What it says.
        retry_after: Seconds that it asks to wait.
    """
    message = f"{status}: {details}"
    if status >= 500:  # noqa: PLR2004  (5xx)
        return UnreachableError(endpoint, message, status=status, retry_after=retry_after)
    if status in _NOT_PROCESSED:
        return UnreachableError(
            endpoint, message, status=status, retry_after=retry_after, sent=False
        )
    if status < 400:  # noqa: PLR2004  (1xx and 3xx)
        message = f"{status}: sent elsewhere; check API_BASE_URL"
        return UnreachableError(endpoint, message, status=status, sent=False)
    # What checks tokens may stand before the API and word a 401 as it likes.
    explained = details.official or (status == UNAUTHORIZED and details != ErrorDetails())
    if not explained:
        sent = status != UNAUTHORIZED
        return UnreachableError(endpoint, f"{message} ({_NOT_THE_API})", status=status, sent=sent)
    hint = _HINTS.get((endpoint, status))
    message = f"{message}; {hint}" if hint else message
    return RefusedError(endpoint, message, status=status, code=details.code)


def prematurity(
    details: ErrorDetails, jwt: SecretStr, headers: Mapping[str, str], now: float
) -> Prematurity:
    """Return whether a token refused with 401 may be valid a moment later.

    The clocks of those who issue and of those who check differ by seconds, and the words for
    it are everybody's own: where an answer does not say that the token has ended, one that was
    issued only just now may be meant.

    Args:
        details: What the answer says.
        jwt: The token that was refused.
        headers: The answer's headers; its Date is the time of who checked the token.
        now: This machine's time in unix seconds, where there is no Date.
    """
    if details.says_early and not details.says_ended:
        return Prematurity.STATED
    if details.says_ended and not details.says_early:
        return Prematurity.NO
    began = _began(jwt)
    theirs = server_time(headers.get("date"), now)
    is_new = began is not None and began > theirs - NEW_SECONDS
    return Prematurity.POSSIBLE if is_new else Prematurity.NO


_EARLY = re.compile(
    r"not yet|not before|\bnbf\b|\biat\b|future|premature|immature|too early|pgrst303"
    r"|\b(?:valid|active) (?:only )?(?:from|after)\b|issued at"
)
_ENDED = re.compile(r"expire|revoke|invalidated|blacklist|disabled|deleted|malformed|audience")


def _words(text: str) -> str:
    """Return text in lower case, `TokenNotYetValid` and `token_not_yet_valid` in single words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", text)
    return apart.lower()


def _began(jwt: SecretStr) -> float | None:
    """Return from when on a token says that it is valid, in unix seconds."""
    try:
        claims = read_payload(jwt)
    except LoquaError:
        return None
    moments = [claims.get("iat"), claims.get("nbf")]
    known = [float(it) for it in moments if isinstance(it, int | float) and it is not True]
    return max(known, default=None)


def _parts(document: Any) -> Iterator[str]:
    """Generate code, field and words of an error body, the code first."""
    if isinstance(document, str):
        yield document
    if isinstance(document, list):
        yield from _parts(document[0] if document else None)
    if not isinstance(document, dict):
        return
    for name in ("code", "error", "errors", "type", "title", "field"):
        if name == "type" and str(document.get(name)).startswith(("about:", "http")):
            continue
        yield from _text(document.get(name))
    for name in ("message", "error_description", "msg", "detail", "reason", "details", "hint"):
        yield from _text(document.get(name))


def _text(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        yield from _parts(value)
    elif isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        yield str(value).strip()


def _challenge(headers: Mapping[str, str]) -> list[str]:
    """Return what `WWW-Authenticate` says in place of a body."""
    said = dict(
        re.findall(r'(error(?:_description)?)="([^"]{1,300})"', headers.get("www-authenticate", ""))
    )
    return [said[name] for name in ("error", "error_description") if name in said]


_TOKEN = re.compile(r"eyJ[\w.-]{8,}|\b[0-9a-f]{32}:[0-9a-f]{32,}")
_SHOWN = 300


def _printable(text: str) -> str:
    line = "".join(sign if sign.isprintable() else " " for sign in text[: 10 * _SHOWN])
    return _TOKEN.sub("[token]", line)[:_SHOWN]

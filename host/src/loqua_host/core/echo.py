"""Redaction of API error messages, which may quote what learners said."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json

__all__ = ["without_echo"]

HIDDEN: Final = "…"

WORD: Final = re.compile(r"\w+")
SHORTEST_PART: Final = 3
"""Minimum letters of a part of a sent word that is hidden, because quotations may be cut."""

QUOTED: Final = re.compile("'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”|«[^»]*»|\u2018[^\u2019]*\u2019")
"""Anything quoted: a value, or the name of a field."""

FIELD: Final = re.compile(
    r"\W*(?:[A-Za-z]\w*(?:_|[a-z][A-Z])\w*|iss|sub|aud|exp|nbf|iat|jti|role|scope)\W*"
)
"""The name of a field, in snake_case or camelCase or a JWT's own, with its quotes."""

ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")

NOT_SAID: Final = frozenset(
    {"userId", "sessionId", "status", "overall_performance", "user_id", "room_name", "agent_id"}
)
"""Fields of a request that contain nothing that a learner said."""


def without_echo(text: str, sent: bytes | None) -> str:
    """Return an API error message without quoted values and without words of the request.

    Args:
        text: The message.
        sent: The request's JSON body, if it had one.
    """
    said = {word.casefold() for value in _texts(sent) for word in WORD.findall(value)}
    plain = ESCAPED.sub(_unescaped, text)
    return WORD.sub(
        lambda word: HIDDEN if _is_of(word[0].casefold(), said) else word[0],
        QUOTED.sub(_only_fields, plain),
    )


def _unescaped(found: re.Match[str]) -> str:
    sign = chr(int(found[1], 16))
    return sign if sign.isprintable() else HIDDEN


def _is_of(word: str, said: set[str]) -> bool:
    return word in said or (len(word) >= SHORTEST_PART and any(word in one for one in said))


def _only_fields(quoted: re.Match[str]) -> str:
    return quoted[0] if FIELD.fullmatch(quoted[0]) else HIDDEN


def _texts(sent: bytes | None) -> Iterator[str]:
    if sent is not None:
        yield from _leaves(from_json(sent))


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                if name not in NOT_SAID:
                    yield from _leaves(member)
        case list():
            for member in value:
                yield from _leaves(member)

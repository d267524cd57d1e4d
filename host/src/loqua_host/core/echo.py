"""What the API says of a request, without what learners said: errors like to quote the input."""

import re
from collections.abc import Iterator
from typing import Any, Final

from .json_reader import parse_json

__all__ = ["without_echo"]

HIDDEN: Final = "…"

WORD: Final = re.compile(r"\w+")

CUT: Final = 3
"""Letters of a word that are taken for it: what is quoted may be cut short."""

QUOTED: Final = re.compile("'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”|«[^»]*»|\u2018[^\u2019]*\u2019")
"""Anything quoted: a value, or the name of a field."""

FIELD: Final = re.compile(r"\W*[A-Za-z]\w*(_|[a-z][A-Z])\w*\W*")
"""The name of a field, in snake_case or camelCase, with its quotes."""

ESCAPED: Final = re.compile(r"\\u[0-9a-fA-F]{4}\w*")
"""A word that was quoted as JSON."""

WHO: Final = frozenset({"userId", "sessionId", "user_id", "room_name", "agent_id"})
"""Fields of a request that the log names anyway."""


def without_echo(text: str, sent: bytes | None) -> str:
    """Return what the API says, without values it quotes and without words that were sent to it.

    Args:
        text: Of an error's answer.
        sent: The request's body, JSON; None if it had none.
    """
    said = " ".join(_texts(sent))
    words, folded = {word.casefold() for word in WORD.findall(said)}, said.casefold()

    def is_sent(word: str) -> bool:
        return word in words or (len(word) >= CUT and word in folded)

    text = QUOTED.sub(_only_fields, ESCAPED.sub(HIDDEN, text))
    return WORD.sub(lambda word: HIDDEN if is_sent(word[0].casefold()) else word[0], text)


def _only_fields(quoted: re.Match[str]) -> str:
    return quoted[0] if FIELD.fullmatch(quoted[0]) else HIDDEN


def _texts(sent: bytes | None) -> Iterator[str]:
    if sent is not None:
        yield from _leaves(parse_json(sent))


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                if name not in WHO:
                    yield from _leaves(member)
        case list():
            for member in value:
                yield from _leaves(member)

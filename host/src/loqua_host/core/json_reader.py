"""The core's one reader of JSON, which drops only the values that make no sense.

Services written in JavaScript and Python send more than RFC 8259 allows: `NaN`, halves of
characters that a text was cut inside of, bytes of another encoding, a byte order mark.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["parse_json", "read_model"]

M = TypeVar("M", bound=BaseModel)

Path = tuple[int | str, ...]
"""The path to a value in a document: keys and indices, outermost first."""

DEEPEST = 50
"""Maximum levels of nesting that are read."""

LONGEST_INTEGER = 20
"""Maximum characters of a number. Python refuses thousands of digits; no count needs more."""

_HALF = re.compile(r"[\ud800-\udfff]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_GONE = object()


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a body, with None for each text or number that makes no sense.

    Raises:
        ValueError: It is not JSON, not even by the habits of the services that send it.
    """
    # Bytes of another encoding become surrogates, so that only the text around them is lost.
    text = body.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    try:
        return _sound(_loads(text))
    except RecursionError:
        return _sound(_loads(_shallow(text)))


def read_model(model: type[M], document: Any) -> M:
    """Return a model of a document, without the parts that are invalid.

    If an invalid part is required, the part that contains it is omitted, too.

    Raises:
        ValueError: The document as a whole does not fit.
    """
    while True:
        try:
            return model.model_validate(document)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            document = _without(document, [problem["loc"] for problem in problems])
            if document is _GONE:
                raise


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _sound(value: Any) -> Any:
    """Return a value with None for each text with half a character and each infinite number."""
    if isinstance(value, dict):
        return {key: _sound(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_sound(part) for part in value]
    if isinstance(value, str):
        return None if _HALF.search(value) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shallow(text: str) -> str:
    """Return JSON text with `null` for all that is nested too deep."""
    kept, depth, begin = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == DEEPEST:
                kept += [text[begin : token.start()], "null"]
        elif token[0] in "]}":
            if depth == DEEPEST:
                begin = token.end()
            depth -= 1
    if depth:
        raise ValueError("brackets are not closed")
    return "".join([*kept, text[begin:]])


def _without(value: Any, paths: Iterable[Path]) -> Any:
    """Return a value without the innermost part on each path, or _GONE where that is itself."""
    if isinstance(value, dict):
        parts: dict[int | str, Any] = value
    else:
        parts = dict(enumerate(value)) if isinstance(value, list) else {}
    wrong: defaultdict[int | str, list[Path]] = defaultdict(list)
    for path in paths:
        if not path or path[0] not in parts:
            return _GONE
        wrong[path[0]].append(path[1:])
    left = {
        key: _without(part, wrong[key]) if key in wrong else part for key, part in parts.items()
    }
    kept = {key: part for key, part in left.items() if part is not _GONE}
    return kept if isinstance(value, dict) else list(kept.values())

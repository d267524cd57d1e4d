"""Conversion of language names to ISO 639 codes."""

from functools import lru_cache
from typing import Final

import langcodes
import structlog
from langcodes.tag_parser import LanguageTagError

__all__ = ["language_code"]

log = structlog.get_logger()

LONGEST: Final = 100
"""Maximum characters of a language's name."""


@lru_cache
def language_code(name: str | None, default: str) -> str:
    """Return the code of a language, or the default. An unknown name is logged.

    Args:
        name: An ISO 639 code with or without a region (`es`, `spa`, `es-MX`), or a name in any
            language (`Spanish`, `español`) from Unicode's CLDR.
        default: The code for an empty or unknown name.

    Returns:
        An ISO 639-1 code if the language has one (`zh` for Mandarin), else an ISO 639-3 code.
    """
    wanted = (name or "").strip()[:LONGEST]
    if not wanted:
        return default
    code = _by_code(wanted) or _by_name(wanted)
    if code is None:
        log.warning("language.unknown", taught=default)
    return code or default


def _by_code(wanted: str) -> str | None:
    try:
        language = langcodes.Language.get(wanted)
    except LanguageTagError:
        return None
    return _code(language) if language.is_valid() else None


def _by_name(wanted: str) -> str | None:
    # langcodes raises undocumented errors for control characters.
    if not wanted.isprintable():
        return None
    try:
        return _code(langcodes.find(wanted))
    except LookupError:
        return None


def _code(language: langcodes.Language) -> str | None:
    return language.prefer_macrolanguage().language

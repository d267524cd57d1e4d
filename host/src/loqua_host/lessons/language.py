"""Languages as the API and learners name them, as the codes that engines take."""

from functools import lru_cache
from typing import Final

import langcodes
import structlog
from langcodes.tag_parser import LanguageTagError

__all__ = ["language_code"]

log = structlog.get_logger()

LONGEST: Final = 100
"""Characters of a name; nothing longer names a language."""


@lru_cache
def language_code(name: str | None, default: str) -> str:
    """Return the code of a language, or the default where none is meant; a wrong name is logged.

    Args:
        name: A code of ISO 639 with or without a region (`es`, `spa`, `es-MX`), or the name in any
            language (`Spanish`, `español`), as Unicode's CLDR has it.
        default: For an empty name and for one that no language has.

    Returns:
        A code of ISO 639-1 where the language has one (`zh` for Mandarin), else of ISO 639-3.
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
    # On control characters the library's table of names fails in odd ways.
    if not wanted.isprintable():
        return None
    try:
        return _code(langcodes.find(wanted))
    except LookupError:
        return None


def _code(language: langcodes.Language) -> str | None:
    return language.prefer_macrolanguage().language

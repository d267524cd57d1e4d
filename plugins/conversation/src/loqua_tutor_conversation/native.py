"""The learner's native language, from the API's name or code."""

import langcodes
from langcodes.tag_parser import LanguageTagError

__all__ = ["native_code"]

_LONGEST = 100


def native_code(name: str | None) -> str | None:
    """Return the ISO 639 code of a language, or None if it is unknown.

    Args:
        name: A code with or without a region (`en`, `en-GB`), or a name in any language.
    """
    wanted = (name or "").strip()[:_LONGEST]
    if not wanted.isprintable():
        return None
    try:
        language = langcodes.Language.get(wanted)
        found = language if language.is_valid() else langcodes.find(wanted)
    except LanguageTagError:
        return _by_name(wanted)
    except LookupError:
        return None
    return found.language


def _by_name(wanted: str) -> str | None:
    try:
        return langcodes.find(wanted).language
    except LookupError:
        return None

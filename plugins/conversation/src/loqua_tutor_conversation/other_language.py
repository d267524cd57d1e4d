"""Replies in a language other than the one taught."""

from .course import Course
from .plain import tokens
from .vocabulary import share_of_words

__all__ = ["is_other_language"]

_SHORTEST = 3
"""Words below which a text may be a name, or a word that two languages share."""

_FOREIGN = 0.6
_NATIVE = 0.85


def is_other_language(text: str, spoken: str | None, course: Course) -> bool:
    """Return whether a reply is in another language.

    Args:
        text: The reply.
        spoken: The language that the recogniser heard, ISO 639-1; None if it does not say, as of
            what is typed. Then the words decide, if the native language is known.
        course: The lesson's course.
    """
    if spoken is not None and spoken != course.code:
        return True
    native, words = course.learner.native, tokens(text)
    if native is None or native == course.code or len(words) < _SHORTEST:
        return False
    taught = share_of_words(words, course.code)
    return taught < _FOREIGN and share_of_words(words, native) >= _NATIVE

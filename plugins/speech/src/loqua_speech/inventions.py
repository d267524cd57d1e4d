"""Texts that Whisper invents without speech.

Whisper was trained on subtitles; for noise it returns what subtitles often contain without speech.
Learners do not say such sentences to a tutor.
"""

import re
import unicodedata

__all__ = ["is_invention"]

_SUBTITLES = re.compile(
    r"amara ?org|opensubtitles|subtit\w+ (?:by|por|realizad\w+|creados|de la comunidad)"
    r"|sous ?titr\w+ (?:realises|par|fait)|untertitel\w* (?:von|im auftrag|der)"
    r"|sottotitoli (?:creati|e revisione|a cura)"
)
_WHOLE = frozenset(
    {
        "suscribete",
        "suscribete al canal",
        "gracias por ver",
        "gracias por ver el video",
        "music",
        "music playing",
        "musica",
        "applause",
        "aplausos",
        "please subscribe",
        "thanks for watching",
        "thank you for watching",
        "merci d avoir regarde cette video",
        "abonnez vous",
        "vielen dank furs zuschauen",
        "grazie per la visione",
    }
)


def is_invention(text: str) -> bool:
    """Return whether a text has no words, or is known to be made up."""
    letters = unicodedata.normalize("NFD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = " ".join(re.findall(r"[^\W_]+", bare))
    return not words or words in _WHOLE or bool(_SUBTITLES.search(words))

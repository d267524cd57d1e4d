"""Texts without words: Whisper's inventions in silence, and its notation of other sounds.

Whisper was trained on subtitles; for noise it returns what subtitles often contain without speech.
Learners do not say such sentences to a tutor. A laugh, or the "hmm" of who thinks before speaking,
is written as letters; a tutor that answered it would interrupt.
"""

import re
import unicodedata

__all__ = ["is_invention"]

_SUBTITLES = re.compile(
    r"amara ?org|opensubtitles|subtit\w+ (?:by|por|realizad\w+|creados|de la comunidad)"
    r"|sous ?titr\w+ (?:realises|par|fait)|untertitel\w* (?:von|im auftrag|der)"
    r"|sottotitoli (?:creati|e revisione|a cura)"
)
_SOUND = re.compile(
    r"h*m{2,}|h+m+|m+h+m+|u+h+m*|e+u*h+m*|a+h+m*|o+h+|e+m+|u+gh|pf+t?|ps+h*t?|sh+|tsk|ha"
    r"|(?:a+|h+a+)(?:h+a+)+h*|(?:h+e+){2,}h*|a*(?:j+a+){3,}j*|(?:j+e+){2,}j*"
)
_SOUND_IN = {"en": re.compile("u+m+|e+rm?")}
"""What is a word elsewhere: "um" is one in Portuguese."""
_NEVER = re.compile("(?!)")

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


def is_invention(text: str, language: str) -> bool:
    """Return whether a text has no words, or is known to be made up.

    Args:
        text: What was recognised.
        language: ISO 639-1 code of its language.
    """
    letters = unicodedata.normalize("NFD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = re.findall(r"[^\W_]+", bare)
    text = " ".join(words)
    more = _SOUND_IN.get(language, _NEVER)
    are_sounds = all(_SOUND.fullmatch(word) or more.fullmatch(word) for word in words)
    return are_sounds or text in _WHOLE or bool(_SUBTITLES.search(text))

"""Text-to-speech by SVOX Pico: six voices, 15 ms a sentence, a few megabytes."""

import re
import unicodedata
from collections.abc import Iterator

from py_nanotts import NanoTTS  # type: ignore[import-untyped]  # ships no types

from loqua_speech.audio import resample
from loqua_speech.errors import UnknownVoiceError
from loqua_speech.silence import limit_silence

SPEAKING_RATE = 24_000
"""The sample rate, in Hz, of OpenAI's raw speech, which its clients take for granted."""

_PICO = NanoTTS()
_PICO_RATE = 16_000
_VOICES = (
    "de-DE",
    "en-US",
    "en-GB",
    "es-ES",
    "fr-FR",
    "it-IT",
)  # the first of a language is its own
_PUNCTUATION = frozenset(".,;:!?¿¡'\"()-%€$£&+=/")
_LONGEST_WORD = 40
_LONGEST_SENTENCE = 300
_NOTHING = bytes(SPEAKING_RATE // 10 * 2)


def voice_for(code: str) -> str:
    """Return the voice of a language code: "es", "es-ES", "en_gb"; "es-MX" gets Spain's.

    Raises:
        UnknownVoiceError: No voice speaks the language.
    """
    wanted = code.strip().replace("_", "-").casefold()
    language = wanted.partition("-")[0]
    own = [voice for voice in _VOICES if voice.casefold() == wanted]
    alike = [voice for voice in _VOICES if voice.startswith(f"{language}-")]
    if own or alike:
        return (own or alike)[0]
    raise UnknownVoiceError(f"no voice {code[:40]!r}: the voices are {', '.join(_VOICES)}")


def synthesize(text: str, *, voice: str, speed: float = 1.0) -> Iterator[bytes]:
    """Yield the text as speech, sentence by sentence.

    Args:
        text: Plain text; markup is read as words, what cannot be pronounced is left out.
        voice: One that `voice_for` returned.
        speed: Factor on the voice's own pace, 0.25 to 4.

    Yields:
        Mono 16-bit samples at `SPEAKING_RATE`; a tenth of a second of silence when the text has
        nothing to pronounce.
    """
    silent = True
    for sentence in sentences(text):
        # Pico returns nothing for letters of other languages, such as "Ж".
        if pcm := _PICO.speak(sentence, voice=voice, speed=None if speed == 1 else speed):
            silent = False
            yield limit_silence(resample(pcm, rate=_PICO_RATE, to=SPEAKING_RATE), SPEAKING_RATE)
    if silent:
        yield _NOTHING


def sentences(text: str) -> list[str]:
    """Return the pronounceable parts of a text, in pieces that Pico accepts.

    Pico reads `<speed level="300">` and its like as commands, and stumbles now and then over long
    runs of symbols: only Latin letters, digits and common punctuation go through to it.
    """
    plain = "".join(map(_pronounceable, unicodedata.normalize("NFKC", text)))
    single = re.sub(r"([^\w\s])(?:\s*\1)+", r"\1", plain)
    words = re.sub(rf"(\w{{{_LONGEST_WORD}}})(?=\w)", r"\1 ", single)
    # A stop after fewer than three letters may be an abbreviation's: Pico knows those.
    pieces = re.split(r"(?:(?<=[!?;:])|(?<=\w{3}\.)|(?<=\d\.))\s+", words)
    return [part for piece in pieces for part in _wrapped(piece) if re.search(r"\w", part)]


def _pronounceable(character: str) -> str:
    if character in "’‘":  # noqa: RUF001 the typographic apostrophes are what is replaced
        return "'"
    if character == "…":
        return "."
    if character in _PUNCTUATION or character in "0123456789":
        return character
    latin = character.isalpha() and unicodedata.name(character, "").startswith("LATIN")
    return character if latin else " "


def _wrapped(sentence: str) -> Iterator[str]:
    """Return the sentence's words in lines of at most `_LONGEST_SENTENCE` characters."""
    line = ""
    for word in sentence.split():
        if line and len(line) + 1 + len(word) > _LONGEST_SENTENCE:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    if line:
        yield line

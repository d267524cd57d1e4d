"""From the API's names of languages to ISO 639-1."""

__all__ = ["language_code"]

CODES = {
    "arabic": "ar",
    "chinese": "zh",
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "mandarin": "zh",
    "polish": "pl",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "turkish": "tr",
    "ukrainian": "uk",
}


def language_code(name: str | None, default: str) -> str:
    """Get the code of a language that is given by name (`spanish`) or by code (`es-MX`)."""
    known = (name or "").strip().lower().replace("_", "-")
    code = CODES.get(known, known.partition("-")[0])
    return code if code in CODES.values() else default

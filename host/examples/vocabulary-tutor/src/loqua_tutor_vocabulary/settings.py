"""The tutor's settings."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings", "WordHint"]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class WordHint(BaseModel):
    """A word to learn."""

    model_config = _STRICT

    word: str = Field(min_length=1, max_length=60, description="what the learner must say")
    hint: str = Field(min_length=1, max_length=200, description="what it is, in the same language")
    translation: str = Field(min_length=1, max_length=60, description="for the record")


SPANISH = (
    WordHint(word="café", hint="Una bebida negra y caliente.", translation="coffee"),
    WordHint(word="casa", hint="El lugar donde vives.", translation="house"),
    WordHint(word="lunes", hint="El día después del domingo.", translation="Monday"),
    WordHint(word="llave", hint="Con esto abres la puerta.", translation="key"),
)


class Settings(BaseModel):
    """The section `settings:` of config/tutors/vocabulary.yaml; a mistake stops the start."""

    model_config = _STRICT

    words: tuple[WordHint, ...] = Field(
        default=SPANISH, min_length=1, max_length=50, description="the words of a lesson"
    )
    repeats: int = Field(
        default=2, ge=1, le=5, description="right answers in a row after which a word is known"
    )
    ask: str = Field(default="¿Qué es? {hint}", description="the question, with {hint}")
    right: str = Field(default="¡Muy bien!", description="said after a right answer")
    wrong: str = Field(default="Es: {word}.", description="said after a wrong one, with {word}")
    goodbye: str = Field(default="¡Ya sabes todo! ¡Adiós!", description="said at the end")

"""A LanguageTool server as an engine, if its address is set."""

from collections.abc import Sequence

import httpx
import structlog
from pydantic import BaseModel, Field, ValidationError

from .correction import GrammarCorrection, sounds_alike

__all__ = ["LanguageToolEngine"]

_VARIANTS = {"en": "en-US", "es": "es", "fr": "fr"}
_TIMEOUT = httpx.Timeout(1.5)
"""Seconds: the learner waits for the answer. A warm server takes 10 to 30 ms."""

# What does not matter in what was said, or was mostly wrong on right sentences of learners.
_DISABLED_CATEGORIES = (
    "TYPOS", "CASING", "TYPOGRAPHY", "PUNCTUATION", "STYLE", "REDUNDANCY", "REPETITIONS",
    "REPETITIONS_STYLE", "SEMANTICS", "COMPOUNDING", "GENDER_NEUTRALITY",
)  # fmt: skip
_DISABLED_RULES = (
    "ENGLISH_WORD_REPEAT_RULE", "SPANISH_WORD_REPEAT_RULE", "ES_MULTITOKEN_SPELLING_TWO", "MEXICO",
    "FEWER_LESS", "ESO_ESE", "EL_LA_EN_LA", "PORQUE",
)  # fmt: skip

# What words in a rule's id tell: category, point of grammar, and key of messages.toml by language.
_KINDS = (
    ("AGREEMENT_DET", "agreement", "noun_adjective_agreement", {"es": "determiner"}),
    ("CONCORD", "agreement", "noun_adjective_agreement", {"es": "determiner"}),
    ("AGREEMENT_SUBJ", "agreement", "subject_verb_agreement", {"es": "agreement"}),
    ("SUBJ", "verbs", "subjunctive", {"es": "subjunctive"}),
    ("AGREEMENT", "agreement", "subject_verb_agreement", {"en": "agreement_english"}),
    ("EN_A_VS_AN", "articles", "articles", {"en": "a_an"}),
    ("PREP", "prepositions", "prepositions", {"es": "preposition", "en": "preposition_english"}),
    ("BASE_FORM", "verbs", "infinitive", {"en": "base_form"}),
    ("PLURAL", "nouns", "plurals", {"en": "plural"}),
)


class _Replacement(BaseModel):
    value: str


class _Rule(BaseModel):
    id: str


class _Match(BaseModel):
    offset: int = Field(ge=0)
    length: int = Field(ge=1)
    replacements: tuple[_Replacement, ...] = ()
    rule: _Rule


class _CheckResponse(BaseModel):
    matches: tuple[_Match, ...]


class LanguageToolEngine:
    """A LanguageTool server; if it fails, this engine finds nothing."""

    def __init__(self, address: str, client: httpx.AsyncClient | None = None) -> None:
        """Prepare to ask.

        Args:
            address: Of the server, as in `http://localhost:8081`.
            client: Of HTTP; one is made if there is none.
        """
        self._url = f"{address.rstrip('/')}/v2/check"
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT)
        self._log = structlog.get_logger("loqua_host.tutor")

    async def find(self, text: str, language: str) -> Sequence[GrammarCorrection]:
        """Return what the server finds; nothing where it fails or doesn't know the language."""
        if language not in _VARIANTS or not text.strip():
            return ()
        form = {
            "text": text,
            "language": _VARIANTS[language],
            "disabledCategories": ",".join(_DISABLED_CATEGORIES),
            "disabledRules": ",".join(_DISABLED_RULES),
        }
        try:
            response = await self._client.post(self._url, data=form)
            answer = _CheckResponse.model_validate_json(response.raise_for_status().content)
        except (httpx.HTTPError, ValidationError) as error:
            self._log.warning(
                "grammar.engine_failed", engine="languagetool", error=type(error).__name__
            )
            return ()
        found = (_correction(match, text, language) for match in answer.matches)
        return tuple(each for each in found if each is not None)


def _correction(match: _Match, text: str, language: str) -> GrammarCorrection | None:
    start, end = (_index(text, at) for at in (match.offset, match.offset + match.length))
    if start is None or end is None:
        return None
    said = text[start:end]
    replacements = tuple(each.value for each in match.replacements[:3])
    if not replacements or sounds_alike(replacements[0], said):
        return None
    category, point, message = _kind(match.rule.id, language)
    return GrammarCorrection(
        start=start,
        end=end,
        message=message,
        category=category,
        grammar_point=point,
        replacements=replacements,
        severity="error",
        source="languagetool",
        rule_id=match.rule.id,
        confidence=0.8,
    )


def _index(text: str, utf16: int) -> int | None:
    """Return the index of a character, from that of Java, which counts in UTF-16; None if none."""
    units = text.encode("utf-16-le")
    if 2 * utf16 > len(units):
        return None
    try:
        return len(units[: 2 * utf16].decode("utf-16-le"))
    except UnicodeDecodeError:
        return None


def _kind(rule_id: str, language: str) -> tuple[str, str, str]:
    for word, category, point, messages in _KINDS:
        if word in rule_id and language in messages:
            return category, point, messages[language]
    return "usage", "sentence_structure", "usage"

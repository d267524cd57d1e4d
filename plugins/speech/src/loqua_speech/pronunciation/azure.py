"""Assessments in the JSON format of Azure's pronunciation assessment.

The names, the scale from 0 to 100 and offsets in units of 100 ns are those of
https://learn.microsoft.com/azure/ai-services/speech-service/how-to-pronunciation-assessment.
`Reason`, why there is no score, and `Substitution` are ours.
"""

from typing import Any

from loqua_speech.pronunciation.phones import IPA
from loqua_speech.pronunciation.results import AssessmentResult, PhoneResult, Refusal, WordResult

__all__ = ["render_assessment"]

_TICKS = 10_000_000


def render_assessment(
    result: AssessmentResult | Refusal, text: str, seconds: float
) -> dict[str, Any]:
    """Return the response's JSON: with scores, or with the reason why there are none.

    Args:
        result: What the scorer says.
        text: What was to be said or, of free speech, what was heard.
        seconds: Length of the audio.
    """
    whole = {"Offset": 0, "Duration": _ticks(seconds), "DisplayText": text}
    if isinstance(result, Refusal):
        return {"RecognitionStatus": "NoMatch", "Reason": result.value, **whole, "NBest": []}
    best = {
        "Confidence": result.confidence,
        "Display": text,
        "AccuracyScore": result.accuracy,
        "FluencyScore": result.fluency,
        "ProsodyScore": result.prosody,
        **_completeness(result),
        "PronScore": result.total,
        "Words": [_word(word) for word in result.words],
    }
    return {"RecognitionStatus": "Success", **whole, "NBest": [best]}


def _completeness(result: AssessmentResult) -> dict[str, float]:
    return {} if result.completeness is None else {"CompletenessScore": result.completeness}


def _word(word: WordResult) -> dict[str, Any]:
    timed = {"Word": word.text, "ErrorType": word.miscue.value, **_time(word.start, word.end)}
    if word.accuracy is None:
        return timed
    phones = [_phone(phone) for phone in word.phones]
    return {**timed, "AccuracyScore": word.accuracy, "Phonemes": phones}


def _phone(phone: PhoneResult) -> dict[str, Any]:
    said = [(phone.phone, phone.probability), (phone.rival, phone.rival_probability)]
    ranked = sorted(said, key=lambda pair: -pair[1])
    return {
        "Phoneme": IPA[phone.phone],
        **_time(phone.start, phone.end),
        "AccuracyScore": phone.score,
        "Substitution": phone.substitution,
        "NBestPhonemes": [
            {"Phoneme": IPA[name] if name else "", "Score": round(100 * probability, 1)}
            for name, probability in ranked
        ],
    }


def _time(start: float, end: float) -> dict[str, int]:
    return {"Offset": _ticks(start), "Duration": _ticks(end - start)}


def _ticks(seconds: float) -> int:
    return round(seconds * _TICKS)

"""Speech recognition for LiveKit, with the recogniser's confidence."""

import math
from typing import Any

import pytest
from livekit.agents.utils import is_given
from openai.types.audio import TranscriptionVerbose

from loqua_speech.stt import speech_data


def _response(**fields: Any) -> TranscriptionVerbose:
    plain = {"language": "es", "duration": 1.0, "text": "Hola, Ana."}
    return TranscriptionVerbose.model_validate(plain | fields)


def _segment(log_probability: float, tokens: int) -> dict[str, Any]:
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.0,
        "text": "Hola",
        "tokens": [1] * tokens,
        "temperature": 0.0,
        "avg_logprob": log_probability,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }


def test_the_confidence_is_the_likelihood_of_a_token() -> None:
    """Of all segments, the longer ones counting for more."""
    response = _response(segments=[_segment(math.log(0.9), 3), _segment(math.log(0.1), 1)])

    expected = (0.9**3 * 0.1) ** (1 / 4)
    assert speech_data(response).confidence == pytest.approx(expected)


def test_a_server_that_says_no_confidence_leaves_it_unknown() -> None:
    """0 is LiveKit's word for it."""
    heard = speech_data(_response())

    assert (heard.text, heard.language, heard.confidence) == ("Hola, Ana.", "es", 0.0)
    assert heard.words == []


def test_each_word_has_its_time_and_its_confidence() -> None:
    """OpenAI's own server returns no confidences."""
    words = [
        {"word": "Hola,", "start": 0.1, "end": 0.4, "probability": 0.8},
        {"word": "Ana.", "start": 0.5, "end": 0.9},
    ]
    heard = speech_data(_response(words=words)).words

    assert heard is not None
    assert [(str(it), it.start_time, it.end_time) for it in heard] == [
        ("Hola,", 0.1, 0.4),
        ("Ana.", 0.5, 0.9),
    ]
    assert heard[0].confidence == 0.8
    assert not is_given(heard[1].confidence)

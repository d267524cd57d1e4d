"""The pronunciation endpoint, called by a client of Azure's API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from loqua_speech.app import create_app
from loqua_speech.audio import wav
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Passage, TimedWord, Whisper

RECORDING = Path(__file__).parent / "pronunciation" / "recordings" / "020360136.flac"
TEXT = "This will be so good."


@pytest.fixture
async def scoring_client(scoring: ScoringQueue) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application, which has no recogniser."""
    async with _client(scoring) as client:
        yield client


def _client(scoring: ScoringQueue, recogniser: Recogniser | None = None) -> httpx.AsyncClient:
    heard = recogniser or Recogniser(cast("Whisper", None))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(heard, scoring)), base_url="http://speech"
    )


async def _score(client: httpx.AsyncClient, sound: bytes, **fields: str) -> httpx.Response:
    return await client.post(
        "/v1/audio/pronunciation", files={"file": sound}, data={"text": TEXT, **fields}
    )


async def test_scores_have_azures_names(scoring_client: httpx.AsyncClient) -> None:
    """For the utterance, each word and each phone; times are in units of 100 ns."""
    body = (await _score(scoring_client, RECORDING.read_bytes(), language="en-US")).json()
    best: dict[str, Any] = body["NBest"][0]
    word = best["Words"][0]
    phone = word["Phonemes"][0]

    assert body["RecognitionStatus"] == "Success"
    names = ("AccuracyScore", "FluencyScore", "CompletenessScore", "ProsodyScore", "PronScore")
    assert all(0 <= best[name] <= 100 for name in names)
    assert 0 <= best["Confidence"] <= 1
    assert (word["Word"], word["ErrorType"]) == ("This", "None")
    assert phone["Phoneme"] == "ð"
    assert phone["Offset"] == word["Offset"]
    assert 0 < phone["Duration"] < 5_000_000
    assert phone["NBestPhonemes"][0]["Phoneme"] == "ð"
    assert 0 <= phone["Substitution"] <= 1


async def test_where_there_is_no_telling_there_is_no_number(
    scoring_client: httpx.AsyncClient,
) -> None:
    """The reason instead."""
    silence = wav(bytes(32_000), rate=16_000)
    body = (await _score(scoring_client, silence)).json()

    assert (body["RecognitionStatus"], body["Reason"]) == ("NoMatch", "no_speech")
    assert body["NBest"] == []


@pytest.mark.parametrize(
    ("sound", "fields", "param"),
    [
        (b"no sound", {}, "file"),
        (wav(bytes(31 * 32_000), rate=16_000), {}, "file"),
        (wav(bytes(32_000), rate=16_000), {"language": "es"}, "language"),
        (wav(bytes(32_000), rate=16_000), {"text": "?"}, "text"),
    ],
    ids=["no audio", "too long", "another language", "no word"],
)
async def test_what_cannot_be_scored_is_refused_by_name(
    scoring_client: httpx.AsyncClient, sound: bytes, fields: dict[str, str], param: str
) -> None:
    """400 and the field to change, in OpenAI's shape."""
    response = await _score(scoring_client, sound, **fields)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_a_full_queue_says_when_to_come_again(scorer: Scorer) -> None:
    """503 with Retry-After."""
    with ScoringQueue(scorer, backlog=0) as full:
        async with _client(full) as client:
            response = await _score(client, RECORDING.read_bytes())

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


@dataclass(frozen=True)
class ScriptedWhisper:
    """A recogniser with a fixed transcript."""

    words: tuple[tuple[str, float], ...]
    spoken: str = "en"

    def language(self, code: str) -> str:
        """Return the primary language."""
        return code[:2]

    def transcribe(self, *_: object) -> Passage:
        """Return the script."""
        words = tuple(TimedWord(text, 0.0, 1.0, sure) for text, sure in self.words)
        return Passage(" ".join(word.text for word in words), self.spoken, words=words)


async def _score_free(scoring: ScoringQueue, whisper: ScriptedWhisper) -> dict[str, Any]:
    with Recogniser(cast("Whisper", whisper)) as recogniser:
        async with _client(scoring, recogniser) as client:
            response = await _score(client, RECORDING.read_bytes(), text="")
    body: dict[str, Any] = response.json()
    return body


async def test_without_a_text_the_recognisers_words_are_scored(scoring: ScoringQueue) -> None:
    """Only sure words are scored, without completeness and with a lower confidence."""
    heard = (("This", 0.99), ("will", 0.99), ("be", 0.99), ("so", 0.6), ("good.", 0.99))
    body = await _score_free(scoring, ScriptedWhisper(heard))
    async with _client(scoring) as client:
        known = (await _score(client, RECORDING.read_bytes())).json()["NBest"][0]
    (best,) = body["NBest"]

    assert body["DisplayText"] == TEXT
    assert [word["Word"] for word in best["Words"] if "AccuracyScore" not in word] == ["so"]
    assert "CompletenessScore" not in best
    assert best["PronScore"] == known["PronScore"]
    assert best["Confidence"] < known["Confidence"]


@pytest.mark.parametrize(
    ("whisper", "reason"),
    [
        (ScriptedWhisper((("Esto", 0.9), ("es", 0.9)), "es"), "other_language"),
        (ScriptedWhisper((("\N{EM DASH}", 0.9),)), "no_speech"),
        (ScriptedWhisper((("Elephants", 0.9), ("dance", 0.9), ("now", 0.9))), "other_text"),
        (ScriptedWhisper(()), "no_speech"),
    ],
    ids=["another language", "no word of the lexicon", "an invention", "nothing"],
)
async def test_of_free_speech_that_cannot_be_judged_there_is_no_number(
    scoring: ScoringQueue, whisper: ScriptedWhisper, reason: str
) -> None:
    """The reason instead."""
    assert (await _score_free(scoring, whisper))["Reason"] == reason

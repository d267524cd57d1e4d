"""The pronunciation endpoint, as a client of Azure's sees it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from loqua_speech.app import create_app
from loqua_speech.audio import wav
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper

RECORDING = Path(__file__).parent / "pronunciation" / "recordings" / "020360136.flac"
TEXT = "This will be so good."


@pytest.fixture
async def scoring_client(scoring: ScoringQueue) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the application, which has no recogniser."""
    async with _client(scoring) as client:
        yield client


def _client(scoring: ScoringQueue) -> httpx.AsyncClient:
    deaf = Recogniser(cast("Whisper", None))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(deaf, scoring)), base_url="http://speech"
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
        (wav(bytes(32_000), rate=16_000), {"text": ""}, "text"),
    ],
    ids=["no audio", "too long", "another language", "no word", "no text"],
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

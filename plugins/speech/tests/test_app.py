"""The endpoints, called by an OpenAI client."""

import asyncio
import io
import json
import wave
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loqua_speech.app import LARGEST_BODY, create_app
from loqua_speech.audio import decode, wav
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper
from loqua_speech.voices import SPEAKING_RATE

Say = Callable[[str, str], bytes]

_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_SPEECH = "/v1/audio/speech"
_SURROGATE = json.dumps({"model": "pico", "input": "hola \ud800", "voice": "es"}).encode()


def _fault(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


async def _transcribe(client: httpx.AsyncClient, file: bytes, **fields: str) -> httpx.Response:
    return await client.post(
        _TRANSCRIPTIONS, files={"file": file}, data={"model": "whisper-base", **fields}
    )


async def test_a_transcription_is_json_by_default(client: httpx.AsyncClient, say: Say) -> None:
    """The text and nothing else."""
    answer = await _transcribe(client, say("Me gustan los libros.", "es"), language="es")

    assert answer.status_code == 200
    assert set(answer.json()) == {"text"}
    assert answer.json()["text"].lower() == "me gustan los libros."


async def test_a_transcription_can_be_plain_text(client: httpx.AsyncClient, say: Say) -> None:
    """One line."""
    spoken = say("Me gustan los libros.", "es")
    answer = await _transcribe(client, spoken, language="es", response_format="text")

    # Pico's samples differ a little from call to call, and Whisper's first letter with them.
    assert answer.text.lower() == "me gustan los libros.\n"


async def test_a_verbose_transcription_says_language_length_and_confidence(
    client: httpx.AsyncClient, say: Say
) -> None:
    """The language is detected where none is given."""
    spoken = say("The weather is very nice today.", "en")
    answer = (await _transcribe(client, spoken, response_format="verbose_json")).json()

    assert answer["language"] == "en"
    assert answer["duration"] == pytest.approx(len(decode(spoken)) / 16_000)
    assert answer["segments"][0]["text"] == answer["text"]
    assert answer["segments"][0]["avg_logprob"] > -1
    assert [word["word"] for word in answer["words"]] == answer["text"].split()
    assert all(0 <= word["probability"] <= 1 for word in answer["words"])


async def test_silence_is_an_empty_text(client: httpx.AsyncClient) -> None:
    """Not an error, and not an invention."""
    silence = wav(bytes(2 * SPEAKING_RATE), rate=SPEAKING_RATE)

    assert (await _transcribe(client, silence)).json() == {"text": ""}


async def test_whisper_names_whichever_model_is_loaded(client: httpx.AsyncClient) -> None:
    """One setting selects another model."""
    silence = wav(bytes(2 * SPEAKING_RATE), rate=SPEAKING_RATE)

    assert (await _transcribe(client, silence, model="whisper")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "gpt-4o-transcribe"}, 404, "model"),
        ({"model": "pico"}, 404, "model"),
        ({"language": "klingon"}, 400, "language"),
        ({"response_format": "srt"}, 400, "response_format"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, say: Say, fields: dict[str, str], status: int, param: str
) -> None:
    """The error is in OpenAI's shape and points at the field."""
    answer = await _transcribe(client, say("Hola.", "es"), **fields)

    assert answer.status_code == status
    assert _fault(answer)["param"] == param


async def test_a_missing_file_is_named(client: httpx.AsyncClient) -> None:
    """A form without its file."""
    answer = await client.post(_TRANSCRIPTIONS, data={"model": "whisper-base"})

    assert answer.status_code == 400
    assert "file" in _fault(answer)["message"]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(file=st.binary(max_size=300), language=st.text(max_size=5), prompt=st.text(max_size=20))
async def test_garbage_is_a_bad_request_never_a_failure(
    client: httpx.AsyncClient, file: bytes, language: str, prompt: str
) -> None:
    """This holds for any bytes."""
    fields = {
        key: value.encode("utf-8", "replace").decode()
        for key, value in (("language", language), ("prompt", prompt))
    }
    answer = await _transcribe(client, file, **fields)

    assert answer.status_code == 400
    assert _fault(answer)["type"] == "invalid_request_error"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.binary(max_size=200), kind=st.sampled_from(["multipart/form-data; boundary=b", ""]))
async def test_a_malformed_form_is_a_bad_request(
    client: httpx.AsyncClient, body: bytes, kind: str
) -> None:
    """Any bytes where a form should be."""
    answer = await client.post(_TRANSCRIPTIONS, content=body, headers={"content-type": kind})

    assert answer.status_code == 400
    assert _fault(answer)["message"]


async def test_an_upload_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    """Reading stops at the limit."""
    answer = await _transcribe(client, bytes(LARGEST_BODY + 1))

    assert answer.status_code == 413
    assert str(LARGEST_BODY) in _fault(answer)["message"]


async def test_a_full_queue_says_when_to_come_again(
    whisper: Whisper, say: Say, scoring: ScoringQueue
) -> None:
    """503 with Retry-After, which clients take as a reason to send it again."""
    with Recogniser(whisper, backlog=0) as full:
        transport = httpx.ASGITransport(create_app(full, scoring))
        async with httpx.AsyncClient(transport=transport, base_url="http://speech") as client:
            answer = await _transcribe(client, say("Hola.", "es"))

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert _fault(answer)["type"] == "server_error"


async def test_speech_is_raw_samples_by_default(client: httpx.AsyncClient) -> None:
    """16 bits at 24 kHz, as OpenAI's clients expect of pcm."""
    answer = await client.post(_SPEECH, json={"model": "pico", "input": "Hola.", "voice": "es"})

    assert answer.headers["content-type"] == "audio/pcm"
    assert SPEAKING_RATE < len(answer.content) < 4 * SPEAKING_RATE


async def test_speech_can_be_a_wav_file(client: httpx.AsyncClient) -> None:
    """With a header that says its true length."""
    body = {"model": "pico", "input": "Hola.", "voice": "es", "response_format": "wav"}
    answer = await client.post(_SPEECH, json=body)

    with wave.open(io.BytesIO(answer.content)) as reader:
        assert reader.getframerate() == SPEAKING_RATE
        assert reader.getnframes() > SPEAKING_RATE / 4


async def test_every_speech_has_a_name_of_its_own(client: httpx.AsyncClient) -> None:
    """OpenAI's clients call it the request's id."""
    body = {"model": "pico", "input": "Hola.", "voice": "es"}
    answers = [await client.post(_SPEECH, json=body) for _ in range(2)]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 2


@pytest.mark.parametrize(
    ("fields", "status", "param", "hint"),
    [
        ({"voice": "alloy"}, 400, "voice", "es-ES"),
        ({"model": "tts-1"}, 404, "model", "pico"),
        ({"response_format": "mp3"}, 400, "response_format", "pcm"),
        ({"speed": 9}, 400, "speed", "4"),
        ({"input": ""}, 400, "input", "at least 1"),
        ({"input": "x" * 4097}, 400, "input", "4096"),
    ],
)
async def test_a_wrong_wish_is_named_with_what_to_write(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, param: str, hint: str
) -> None:
    """The message has the known names or the limit."""
    answer = await client.post(
        _SPEECH, json={"model": "pico", "input": "Hola.", "voice": "es", **fields}
    )

    assert answer.status_code == status
    assert _fault(answer)["param"] == param
    assert hint in _fault(answer)["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model": 1}', b"\xff", _SURROGATE])
async def test_a_body_that_is_no_wish_is_a_bad_request(
    client: httpx.AsyncClient, body: bytes
) -> None:
    """Broken JSON, JSON of another shape, and text that UTF-8 cannot carry."""
    answer = await client.post(_SPEECH, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert _fault(answer)["message"]


async def test_models_and_health_say_what_runs(client: httpx.AsyncClient) -> None:
    """For those who look before they speak."""
    models, health = await asyncio.gather(client.get("/v1/models"), client.get("/health"))

    assert [model["id"] for model in models.json()["data"]] == ["whisper-base", "pico"]
    assert health.json() == {"status": "ok", "model": "whisper-base", "turns": 0}


async def test_an_unknown_path_is_an_error_in_openais_shape(client: httpx.AsyncClient) -> None:
    """Clients parse errors before they show them."""
    answer = await client.get("/v1/embeddings")

    assert answer.status_code == 404
    assert _fault(answer)["message"] == "Not Found"

"""A tutor's client of a speech server that scores pronunciation."""

import io
import wave

import httpx
import pytest
from livekit import rtc

from loqua_host import Assessment, PronunciationScorer

FRAME = rtc.AudioFrame(b"\x01\x00" * 2400, 24_000, 1, 2400)
"""A tenth of a second."""

BEST = {
    "PronScore": 81.5,
    "Confidence": 0.9,
    "Words": [
        {
            "Word": "ship",
            "ErrorType": "Mispronunciation",
            "AccuracyScore": 62.0,
            "Phonemes": [
                {
                    "Phoneme": "p",
                    "Offset": 3_500_000,
                    "Duration": 500_000,
                    "AccuracyScore": 20.0,
                    "NBestPhonemes": [
                        {"Phoneme": "b", "Score": 80},
                        {"Phoneme": "p", "Score": 9},
                    ],
                },
                {"Phoneme": "t", "AccuracyScore": 99.0},
            ],
        },
        {"Word": "", "ErrorType": "Insertion"},
    ],
}


async def score(response: httpx.Response) -> Assessment | None:
    """Return the assessment for an answer of the server."""
    transport = httpx.MockTransport(lambda _: response)
    async with httpx.AsyncClient(transport=transport) as http:
        return await PronunciationScorer("http://speech/v1/", http).score([FRAME] * 3, "ship", "en")


async def test_scores_are_read_by_azures_names() -> None:
    """The sound that was heard is the likeliest one, if it is not the expected one."""
    assessment = await score(httpx.Response(200, json={"NBest": [BEST]}))

    assert assessment is not None
    word, inserted = assessment.words
    assert (assessment.total, word.accuracy, inserted.accuracy) == (81.5, 62.0, None)
    assert (word.error, inserted.error) == ("Mispronunciation", "Insertion")
    assert [phoneme.heard for phoneme in word.phonemes] == ["b", None]


async def test_the_learners_page_gets_scores_with_times_in_seconds() -> None:
    """The server counts in units of 100 ns."""
    assessment = await score(httpx.Response(200, json={"NBest": [BEST]}))

    assert assessment is not None
    shown = assessment.present("ship")
    word, inserted = shown.words
    assert (shown.text, shown.score, word.score, inserted.score) == ("ship", 81.5, 62.0, None)
    assert (word.error, inserted.error) == ("Mispronunciation", "Insertion")
    (said, *_) = word.sounds
    assert (said.sound, said.heard, said.start, said.end) == ("p", "b", 0.35, 0.4)


@pytest.mark.parametrize(
    ("errors", "complete"),
    [(("None", "Mispronunciation", "Insertion"), True), (("None", "Omission"), False)],
    ids=["all words", "a word left out"],
)
def test_an_assessment_says_whether_the_text_was_said_to_the_end(
    errors: tuple[str, ...], complete: bool
) -> None:
    """Words that were said badly were said."""
    words = [{"Word": "ship", "ErrorType": it} for it in errors]
    assessment = Assessment.model_validate({"PronScore": 50, "Words": words})
    assert assessment.is_complete is complete


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, json={"RecognitionStatus": "NoMatch", "NBest": []}),
        httpx.Response(200, json={"NBest": [{"PronScore": 101}]}),
        httpx.Response(200, json={"NBest": [{**BEST, "Words": [{"AccuracyScore": 101}]}]}),
        httpx.Response(200, text="<html>"),
        httpx.Response(400, json={"error": {"param": "language"}}),
        httpx.Response(404),
        httpx.Response(503),
    ],
    ids=[
        "no match",
        "out of range",
        "a word out of range",
        "no JSON",
        "refused",
        "no endpoint",
        "busy",
    ],
)
async def test_without_a_sound_answer_there_is_no_score(response: httpx.Response) -> None:
    """The lesson goes on without."""
    assert await score(response) is None


async def test_the_server_gets_all_of_the_recording() -> None:
    """It is sent as one WAV file."""
    sent = b""

    def keep(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent = request.content
        return httpx.Response(200, json={"NBest": [BEST]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(keep)) as http:
        await PronunciationScorer("http://speech/v1", http).score([FRAME] * 3, "ship", "en")
    file = sent[sent.index(b"RIFF") :]
    with wave.open(io.BytesIO(file)) as sound:
        assert (sound.getnframes(), sound.getframerate()) == (7200, 24_000)

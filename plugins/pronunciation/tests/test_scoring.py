"""What the tutor takes from the speech server."""

import httpx
import pytest

from loqua_tutor_pronunciation.scoring import Assessment, Scorer, present_score

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
    """The assessment when the server answers so."""
    transport = httpx.MockTransport(lambda _: response)
    async with httpx.AsyncClient(transport=transport) as http:
        return await Scorer("http://speech/v1/", http).score(b"RIFF", "ship", "en")


async def test_scores_are_read_by_azures_names() -> None:
    """What was heard instead is the likeliest sound, if it is another one."""
    assessment = await score(httpx.Response(200, json={"NBest": [BEST]}))

    assert assessment is not None
    word, inserted = assessment.words
    assert (assessment.total, word.accuracy, inserted.accuracy) == (81.5, 62.0, None)
    assert [phoneme.heard for phoneme in word.phonemes] == ["b", None]


async def test_the_learners_page_gets_scores_with_times_in_seconds() -> None:
    """The server counts in units of 100 ns."""
    assessment = await score(httpx.Response(200, json={"NBest": [BEST]}))

    assert assessment is not None
    shown = present_score(assessment, "ship")
    word, inserted = shown.words
    assert (shown.text, shown.score, word.score, inserted.score) == ("ship", 81.5, 62.0, None)
    (said, *_) = word.sounds
    assert (said.sound, said.heard, said.start, said.end) == ("p", "b", 0.35, 0.4)


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

"""The conversation tutor's findings on recorded learners, by the speech server's functions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
from livekit import rtc

from loqua_host import PronunciationScorer, Recognition, RecognizedWord, Turn
from loqua_speech.app import create_app
from loqua_speech.audio import HEARING_RATE, Samples, decode
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper
from loqua_speech.weights import packaged_weights
from loqua_tutor_conversation.background_scoring import BackgroundScoring
from loqua_tutor_conversation.spoken_sounds import NO_SOUNDS, SpokenSounds

RECORDINGS = Path(__file__).parents[3] / "plugins/speech/tests/pronunciation/recordings"
FRAME = HEARING_RATE // 50


async def frames(sound: Samples) -> AsyncIterator[rtc.AudioFrame]:
    """Yield a recording as a microphone does."""
    samples = (np.clip(sound, -1, 1) * 32_767).astype(np.int16)
    for at in range(0, len(samples) - FRAME, FRAME):
        yield rtc.AudioFrame(samples[at : at + FRAME].tobytes(), HEARING_RATE, 1, FRAME)


def recognised(whisper: Whisper, sound: Samples) -> Turn[None]:
    """Return a recording as a turn, as the host passes it on."""
    passage = whisper.transcribe(sound, "en")
    words = tuple(RecognizedWord(it.text, it.probability) for it in passage.words)
    confidence = float(np.exp(passage.log_probability))
    recognition = Recognition(confidence, words, passage.language)
    return Turn(passage.text, None, typed=False, recognition=recognition)


async def hear_all(scoring: BackgroundScoring, whisper: Whisper) -> list[str]:
    """Play all recorded learners, one after another, and return what was recognised."""
    heard = []
    for number, file in enumerate(sorted(RECORDINGS.glob("*.flac")), 1):
        sound = decode(file.read_bytes())
        scoring.begin()
        async for _ in scoring.record(frames(sound)):
            pass
        turn = recognised(whisper, sound)
        scoring.take(turn, number, continued=False, counts=True)
        scoring.score_latest()
        if scoring._scoring is not None:
            await scoring._scoring
        heard.append(turn.text)
    return heard


async def test_what_counts_is_near_the_experts_and_was_said_in_its_utterance() -> None:
    """Over HTTP; a poor or doubtful recording has no score."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    after: list[SpokenSounds] = []
    with Recogniser(whisper) as recogniser, ScoringQueue(Scorer.packaged()) as queue:
        app = httpx.ASGITransport(create_app(recogniser, queue))
        scorer = PronunciationScorer("http://speech/v1", httpx.AsyncClient(transport=app))
        scoring = BackgroundScoring(scorer, "en", NO_SOUNDS, after.append)
        heard = await hear_all(scoring, whisper)
        await scoring.aclose()
    sounds = after[-1]
    experts = {row["file"]: row["total"] for row in json.loads(_scores())}
    files = [file.name for file in sorted(RECORDINGS.glob("*.flac"))]
    assert sounds.scores
    for it in sounds.scores:
        assert abs(it.score - 10 * experts[files[it.utterance - 1]]) <= 25
    for weak in sounds.weak:
        assert weak.word in heard[weak.utterance - 1].casefold()


def _scores() -> str:
    return (RECORDINGS / "scores.json").read_text("utf-8")

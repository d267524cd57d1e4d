"""Whole spoken lessons, compared with golden files in `lessons`.

SVOX Pico says the lines of the conversation tutor's golden lessons, the speech server's recogniser
hears them, and the tutor answers what was heard. `uv run python -m
tests.integration.spoken.test_spoken_lessons` writes them again: with another processor, Whisper
may hear otherwise, so that they are not compared. Two of them are played here.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plugins.conversation.tests.test_lessons import LESSONS, SILENCE, Said, play, untrue

from loqua_host import RecognizedWord
from loqua_speech.audio import decode, wav
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recognition import Whisper
from loqua_speech.rescoring import Rescorer
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights
from loqua_tutor_conversation.state import ConversationState
from loqua_tutor_conversation.steps import LearnerUtterance

GOLDEN = Path(__file__).parent / "lessons"

_OTHER = "(en) "
"""Before a line in English in a lesson of another language."""

SPOKEN = {name: said for name, said in LESSONS.items() if name != "misheard"} | {
    "wrong_language": Said(
        "es",
        "cafe",
        (
            _OTHER + "Hello, can you hear me?",
            "Me llamo Ana.",
            _OTHER + "A table for two people, please.",
            "Una mesa para dos, por favor.",
            "Quiero un café, por favor.",
            _OTHER + "I like Spanish food very much.",
            "Me gusta la comida española.",
            "Muchas gracias.",
        ),
    )
}
"""Learners of all tempers; `misheard` is made of mishearings."""


def load_recogniser() -> Whisper:
    """Load what the speech server hears with."""
    scorer = Scorer.packaged()
    rescorer = Rescorer(scorer.network, scorer.lexicon)
    with packaged_weights() as weights:
        return Whisper(weights, threads=2, rescorer=rescorer)


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    """Return the speech server's recogniser."""
    return load_recogniser()


def hearing(whisper: Whisper, language: str) -> Callable[[str], LearnerUtterance]:
    """Return what speaks a line and recognises it, as `loqua_speech.stt` passes it on."""

    def hear(text: str) -> LearnerUtterance:
        voice = voice_for("en" if text.startswith(_OTHER) else language)
        pcm = b"".join(synthesize(text.removeprefix(_OTHER), voice=voice))
        passage = whisper.transcribe(decode(wav(pcm, rate=SPEAKING_RATE)), language)
        words = tuple(RecognizedWord(it.text, it.probability) for it in passage.words)
        confidence = float(np.exp(passage.log_probability))
        return LearnerUtterance(passage.text, confidence, words=words, language=passage.language)

    return hear


def wrong_in(said: Said, state: ConversationState, transcript: str) -> list[str]:
    """List what is reported, but was not said in the utterance that it is traced to."""
    spoken = [text.removeprefix(_OTHER) for text in said.lines if text != SILENCE]
    return [*untrue(spoken, said.language, state, transcript)]


@pytest.mark.parametrize("name", ["constant_errors", "wrong_language"])
def test_what_is_reported_of_a_spoken_lesson_was_said(whisper: Whisper, name: str) -> None:
    """Each word and mistake, number by number; and the lesson comes to its end."""
    said = SPOKEN[name]
    state, transcript = play(said, hearing(whisper, said.language))
    assert not wrong_in(said, state, transcript), transcript
    assert state.answers, transcript


def main() -> None:
    """Write the golden files, with what is reported and was not said."""
    GOLDEN.mkdir(exist_ok=True)
    whisper = load_recogniser()
    for name, said in SPOKEN.items():
        state, transcript = play(said, hearing(whisper, said.language))
        wrong = ", ".join(wrong_in(said, state, transcript)) or "nothing"
        text = f"{transcript}\nreported, but not said: {wrong}\n"
        (GOLDEN / f"{name}.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

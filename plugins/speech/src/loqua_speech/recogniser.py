"""The one worker that recognises speech for all lessons."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.recognition import PIECE_SECONDS, Passage, Whisper
from loqua_speech.worker import ModelWorker

_HOP = HEARING_RATE // 10


@dataclass(frozen=True, slots=True)
class RecognisedPassage:
    """One passage and its position in the audio, in seconds."""

    start: float
    end: float
    passage: Passage


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of one upload.

    Attributes:
        language: ISO 639-1 code, of the first passage.
        seconds: Length of the audio.
        heard: The passages in which somebody speaks.
    """

    language: str
    seconds: float
    heard: tuple[RecognisedPassage, ...]

    @property
    def text(self) -> str:
        """The whole text; empty without speech."""
        return " ".join(one.passage.text for one in self.heard)


class Recogniser(ModelWorker):
    """Recognise one piece of audio at a time, in order of arrival.

    A long turn queues anew for each of its pieces, so that it delays others by one piece at most.
    Cancelling `transcribe` takes it out of the queue.
    """

    def __init__(self, whisper: Whisper, *, backlog: int = 12) -> None:
        """Take the model over.

        Args:
            whisper: The loaded model; nothing else may call it from now on.
            backlog: How many turns may be in the queue, the one being heard included.
        """
        super().__init__("whisper", backlog)
        self._whisper = whisper

    @property
    def model(self) -> str:
        """The model's name on the wire."""
        return self._whisper.name

    async def transcribe(
        self, audio: Samples, *, language: str | None = None, prompt: str = ""
    ) -> Transcript:
        """Return the transcript of the audio, mono at `HEARING_RATE`.

        Args:
            audio: A learner's turn.
            language: A language tag such as "es" or "es-MX"; None to detect it.
            prompt: Words to expect, in the audio's language.

        Raises:
            UnknownLanguageError: The model does not know the language.
            BusyError: The queue is full.
        """
        language = self._whisper.language(language) if language else None
        with self.admit("turns wait for recognition"):
            return await self._transcript(audio, language, prompt)

    async def _transcript(self, audio: Samples, language: str | None, prompt: str) -> Transcript:
        heard = []
        for start, end in pieces(audio):
            passage = await self.run(self._whisper.transcribe, audio[start:end], language, prompt)
            if passage.text:
                language = language or passage.language
                heard.append(RecognisedPassage(start / HEARING_RATE, end / HEARING_RATE, passage))
        spoken = heard[0].passage.language if heard else language or ""
        return Transcript(spoken, len(audio) / HEARING_RATE, tuple(heard))


def pieces(audio: Samples) -> Iterator[tuple[int, int]]:
    """Return the bounds of pieces short enough for the model, cut where the audio is quietest."""
    start = 0
    longest = PIECE_SECONDS * HEARING_RATE
    while len(audio) - start > longest:
        cut = _quietest(audio, start + longest // 2, start + longest)
        yield start, cut
        start = cut
    yield start, len(audio)


def _quietest(audio: Samples, start: int, end: int) -> int:
    loudness = np.square(audio[start:end]).reshape(-1, _HOP).mean(axis=1)
    return start + int(loudness.argmin()) * _HOP + _HOP // 2

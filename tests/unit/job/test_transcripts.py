"""The participant under whose identity a transcript is published."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from livekit.agents import UserInputTranscribedEvent

from loqua_host.job.voice import transcripts as module
from loqua_host.job.voice.transcripts import Transcripts

TRACKS = {"maria": "TR_maria", "ana": "TR_ana"}


class FakeOutput:
    """LiveKit's publisher of a participant's transcripts."""

    written: list[tuple[str, str | None, str]]

    def __init__(self, *, participant: str, **_: Any) -> None:
        self.identity = participant
        self.track: str | None = None
        self.text = ""

    def set_track(self, track: str | None) -> None:
        """Write beside a track from now on."""
        self.track = track

    async def capture_text(self, text: str) -> None:
        """Write what has been recognised so far."""
        if text == "broken":
            raise RuntimeError(text)
        self.text = text

    def flush(self) -> None:
        """Close a segment."""
        self.written.append((self.identity, self.track, self.text))

    async def aclose(self) -> None:
        """Write no more."""
        self.written.append((self.identity, None, "closed"))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is written into the room."""
    FakeOutput.written = []
    monkeypatch.setattr(module, "TranscriptionOutput", FakeOutput)
    return FakeOutput.written


async def recognise(job: Any, words: Iterable[tuple[str | None, str, bool]]) -> None:
    """Recognise words of speakers in a session, final or not."""
    transcripts = Transcripts(job.room, job.lesson, TRACKS.get)
    transcripts.take_over(job.session)
    running = asyncio.create_task(transcripts.run())
    for speaker, text, final in words:
        event = UserInputTranscribedEvent(transcript=text, is_final=final, speaker_id=speaker)
        job.session.emit("user_input_transcribed", event)
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.wait({running})


async def test_each_learners_words_are_written_in_their_name_beside_their_track(
    job: Any, written: list[Any]
) -> None:
    """And LiveKit writes none of them in the name of one."""
    await recognise(job, [("maria", "Ho", False), ("maria", "Hola", True), ("ana", "¿Qué?", True)])
    assert written[:2] == [("maria", "TR_maria", "Hola"), ("ana", "TR_ana", "¿Qué?")]
    assert sorted(written[2:]) == [("ana", None, "closed"), ("maria", None, "closed")]
    assert job.session.written == []


async def test_words_of_whom_nobody_knows_are_the_lessons_learners(
    job: Any, written: list[Any]
) -> None:
    """LiveKit attributes them in the same way."""
    await recognise(job, [(None, "Hola", True)])
    assert written[0] == ("maria", "TR_maria", "Hola")


async def test_a_transcript_that_cannot_be_written_ends_nothing(
    job: Any, written: list[Any]
) -> None:
    """The next one is."""
    await recognise(job, [("ana", "broken", True), ("ana", "Hola", True)])
    assert written[0] == ("ana", "TR_ana", "Hola")


@pytest.mark.parametrize("everyone", [True, False])
async def test_a_lesson_leaves_transcripts_of_one_learner_to_livekit(
    job: Any, written: list[Any], *, everyone: bool
) -> None:
    """The host writes those of several learners."""
    job.configure_tutor(audio_input="all" if everyone else "learner")
    running = job.start()
    await asyncio.sleep(1)
    event = UserInputTranscribedEvent(transcript="Hola", is_final=True, speaker_id="ana")
    job.session.emit("user_input_transcribed", event)
    await asyncio.sleep(1)
    job.lesson.end("done")
    await running
    assert (len(job.session.written), written[:1]) == (
        (0, [("ana", None, "Hola")]) if everyone else (1, [])
    )

"""What learners say, written into the room for its pages to show, each in their own name."""

import asyncio
import logging
from collections.abc import Callable

from livekit import rtc
from livekit.agents import AgentSession, UserInputTranscribedEvent

from loqua_host.contract.lesson import Lesson
from loqua_host.livekit_internals import TranscriptionOutput, stop_transcribing

__all__ = ["Transcripts"]

log = logging.getLogger(__name__)


class Transcripts:
    """Writes transcripts in place of LiveKit, which writes all of them in one learner's name.

    Args:
        room: The room.
        lesson: The lesson; its learner's are those that nobody is known to have said.
        track_of: Returns the track that a participant is heard by.
    """

    def __init__(
        self, room: rtc.Room, lesson: Lesson, track_of: Callable[[str], str | None]
    ) -> None:
        self._room = room
        self._lesson = lesson
        self._track_of = track_of
        self._waiting = asyncio.Queue[UserInputTranscribedEvent]()
        self._outputs: dict[str, TranscriptionOutput] = {}

    def take_over(self, session: "AgentSession[None]") -> None:
        """Write the transcripts of a session that has started, from now on."""
        stop_transcribing(session)
        session.on("user_input_transcribed", self._waiting.put_nowait)

    async def run(self) -> None:
        """Write them in their order, until cancelled."""
        try:
            while True:
                await self._write(await self._waiting.get())
        finally:
            await asyncio.gather(*(one.aclose() for one in self._outputs.values()))

    async def _write(self, event: UserInputTranscribedEvent) -> None:
        try:
            output = self._output(event.speaker_id or self._lesson.learner.identity)
            await output.capture_text(event.transcript)
            if event.is_final:
                output.flush()
        except Exception:  # a page that shows nothing ends no lesson
            log.exception("transcript was not written")

    def _output(self, identity: str) -> TranscriptionOutput:
        output = self._outputs.get(identity)
        if output is None:
            output = self._outputs[identity] = TranscriptionOutput(
                room=self._room, is_delta_stream=False, participant=identity
            )
        output.set_track(self._track_of(identity))
        return output

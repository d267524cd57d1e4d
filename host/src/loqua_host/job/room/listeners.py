"""The choice of the learners whose audio and chat a tutor receives."""

from collections.abc import Mapping

from livekit import rtc

from loqua_host.contract.learner import Learner
from loqua_host.contract.lesson import Lesson
from loqua_host.job.voice.audio_input import MixedAudioInput
from loqua_host.job.voice.speakers import Speakers
from loqua_host.link.messages import Others

__all__ = ["Listeners"]


class Listeners:
    """Select the tutor's own learner, or all identified learners.

    Args:
        room: The room.
        lesson: The lesson.
        mixed_audio: Mixes the audio of several learners; None if the tutor hears only its own.
        speakers: Identifies speakers.
    """

    def __init__(
        self,
        room: rtc.Room,
        lesson: Lesson,
        mixed_audio: MixedAudioInput | None,
        speakers: Speakers,
    ) -> None:
        self._room = room
        self._lesson = lesson
        self._mixed_audio = mixed_audio
        self._speakers = speakers
        self._entries: dict[str, str] = {}

    def watch(self) -> None:
        """Follow the room from now on."""
        self._room.on("participant_connected", self.update)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._room.off("participant_connected", self.update)

    def update(self, *_: object) -> None:
        """Update whose audio is mixed."""
        if self._mixed_audio is not None:
            selected = self.learners()
            self._mixed_audio.select(selected)
            self._speakers.update(selected.values())

    def set_others(self, message: Others) -> None:
        """Set the other learners in the room."""
        self._lesson.others = message.others
        sids = zip(message.others, message.entries, strict=True)
        self._entries = {one.identity: sid for one, sid in sids}
        self.update()

    def learners(self) -> Mapping[str, Learner]:
        """Return the selected learners, by identity."""
        others = self._lesson.others if self._mixed_audio is not None else ()
        known = [one for one in others if self._is_known(one.identity)]
        return {one.identity: one for one in (*known, self._lesson.learner)}

    def _is_known(self, identity: str) -> bool:
        """Return whether the host has verified the current participant with an identity.

        A chat message may arrive before the host has verified its sender.
        """
        there = self._room.remote_participants.get(identity)
        return there is None or there.sid == self._entries.get(identity)

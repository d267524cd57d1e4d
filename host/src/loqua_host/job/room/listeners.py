"""Whose speech and typing a tutor gets."""

from collections.abc import Mapping

from livekit import rtc

from loqua_host.contract.learner import Learner
from loqua_host.contract.lesson import Lesson
from loqua_host.job.voice.audio_input import MixedAudioInput
from loqua_host.job.voice.speakers import Speakers
from loqua_host.link.messages import Others

__all__ = ["Listeners"]


class Listeners:
    """Has the tutor hear its own learner, or all identified ones.

    Args:
        room: The room.
        lesson: The lesson.
        ears: Mixes what several say; None where the tutor hears its own learner alone.
        speakers: Tells whose speech is whose.
    """

    def __init__(
        self, room: rtc.Room, lesson: Lesson, ears: MixedAudioInput | None, speakers: Speakers
    ) -> None:
        self._room = room
        self._lesson = lesson
        self._ears = ears
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
        if self._ears is not None:
            heard = self.learners()
            self._ears.hear(heard)
            self._speakers.hear(heard.values())

    def set_others(self, message: Others) -> None:
        """Take over who else is in the room."""
        self._lesson.others = message.others
        sids = zip(message.others, message.entries, strict=True)
        self._entries = {one.identity: sid for one, sid in sids}
        self.update()

    def learners(self) -> Mapping[str, Learner]:
        """Return those who are heard, by their identities."""
        others = self._lesson.others if self._ears is not None else ()
        known = [one for one in others if self._is_known(one.identity)]
        return {one.identity: one for one in (*known, self._lesson.learner)}

    def _is_known(self, identity: str) -> bool:
        """Return whether nobody came by an identity since the host looked at who has it.

        What somebody types may overtake the news that they are there.
        """
        there = self._room.remote_participants.get(identity)
        return there is None or there.sid == self._entries.get(identity)

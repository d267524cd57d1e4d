"""A learner's visit, with any system."""

import asyncio
import math
from collections.abc import AsyncIterator, Container
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
from livekit import rtc
from livekit.agents.types import ATTRIBUTE_AGENT_STATE
from tests.integration.host.conftest import Deployment, SilentLearner

from loqua_host.dev.learner import AUDIBLE, SAMPLE_RATE
from loqua_host.system.tasks import background

__all__ = ["NEVER", "LearnerVisit", "TutorHeard", "open_visit"]

PATIENCE = 20.0
"""Seconds after which nobody comes any more."""

NEVER = math.inf
READY = frozenset({"listening", "speaking"})
"""The states of LiveKit's agents in which the learner is heard."""


@dataclass(frozen=True, slots=True)
class TutorHeard:
    """The times of the tutor's presence, by the loop's clock; `NEVER` if none came.

    Attributes:
        listening: When it heard the learner.
        sound: When the learner heard it.
    """

    listening: float = NEVER
    sound: float = NEVER


@dataclass(slots=True)
class LearnerVisit:
    """A learner in a room.

    Attributes:
        room: Where they are.
        microphone: What they are heard by; silent until it is spoken into.
        entered: When they entered, by the loop's clock.
    """

    room: rtc.Room
    microphone: rtc.AudioSource
    entered: float
    _listening: dict[str, float] = field(default_factory=dict)
    _sound: dict[str, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tutors(self) -> frozenset[str]:
        """The identities of all tutors that have listened."""
        return frozenset(self._listening)

    @property
    def taught(self) -> bool:
        """Whether a tutor that was heard is in the room."""
        return not self._sound.keys().isdisjoint(self.room.remote_participants)

    async def wait_for_tutor(self, but: Container[str] = ()) -> TutorHeard:
        """Wait for a tutor, other than these, to listen and to be heard."""
        listening = await self._first(self._listening, but)
        return TutorHeard(
            listening, await self._first(self._sound, but) if listening < NEVER else NEVER
        )

    async def _first(self, seen: dict[str, float], but: Container[str]) -> float:
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := [when for who, when in seen.items() if who not in but]):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return NEVER
        return found[0]

    def look(self, visitor: SilentLearner) -> None:
        """Take note of the tutors that listen."""
        for one in visitor.tutors:
            if one.attributes.get(ATTRIBUTE_AGENT_STATE) in READY:
                self._note(self._listening, one.identity)

    async def listen(self, track: rtc.Track, who: str) -> None:
        """Take note of the first sound of a tutor."""
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        async with aclosing(stream):  # else it goes on to take processor time
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).astype(float)
                if np.sqrt(np.mean(samples**2)) >= AUDIBLE:
                    self._note(self._sound, who)
                    return

    def _note(self, seen: dict[str, float], who: str) -> None:
        seen.setdefault(who, asyncio.get_running_loop().time())
        self._changed.set()


@asynccontextmanager
async def open_visit(
    deployment: Deployment, tutor: str, agent_name: str
) -> AsyncIterator[LearnerVisit]:
    """Keep a learner in a room of a tutor for the duration of a block.

    Args:
        deployment: LiveKit and the API.
        tutor: Begins the room's name, for sides that choose by it.
        agent_name: Who is dispatched.
    """
    room = f"{tutor}-{uuid4().hex[:12]}"
    async with deployment.visit(room, agent_name=agent_name) as visitor, background() as tasks:
        microphone = rtc.AudioSource(SAMPLE_RATE, 1)
        visit = LearnerVisit(visitor.room, microphone, asyncio.get_running_loop().time())

        def on_track(track: rtc.Track, _: object, who: rtc.RemoteParticipant) -> None:
            tasks.create_task(visit.listen(track, who.identity))

        for event in ("participant_connected", "participant_attributes_changed"):
            visitor.room.on(event, lambda *_: visit.look(visitor))
        visitor.room.on("track_subscribed", on_track)
        visit.look(visitor)
        async with _published(visitor.room, microphone):
            yield visit


@asynccontextmanager
async def _published(room: rtc.Room, source: rtc.AudioSource) -> AsyncIterator[None]:
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    try:
        yield
    finally:
        await source.aclose()

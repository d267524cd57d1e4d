"""A burst of learners by voice, twice the machine's capacity: learners served, and their waits.

Run `uv run python -m tests.bench.burst [learners] [max_lessons]`, by default 10 learners and
`auto`. A number for `max_lessons` shows the same burst without measured capacity. Speech is
offline, and the tutor answers every turn with one sentence. First, one learner talks alone. Then
all learners enter at once, talk for some turns and leave. The result is JSON, in seconds: from the
last word to the first sound, alone and in the burst; from a learner's entry to the first sound,
and to the notice that they have to wait; and the number of concurrent lessons.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

import numpy as np
from livekit import rtc
from tests.acceptance.voices import SpeakingLearner, WrittenTutor, arrived, entered, host_of

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import AUDIBLE, SAMPLE_RATE, audible_extent, synthesise_line
from loqua_host.dev.parts import Parts
from loqua_host.system.tasks import background

LEARNERS = 10
LINES = (
    "Me llamo Ana y vivo en Madrid.",
    "Quiero un café con leche.",
    "Mañana vamos a la playa.",
    "El tren llega a las cinco.",
)
SETTLED = 0.8
"""Seconds of silence after which the tutor is taken to have finished."""
THOUGHT = 1.0
PATIENCE = 20.0
"""Seconds that a learner waits for an answer."""
STAY = 300.0
"""Seconds that a learner waits for a tutor."""
WAITING = "loqua.waiting"
TUTOR = "loqua.tutor"

CODE = """
from livekit.agents import Agent, StopResponse

from loqua_host import Tutor, hookimpl


class Patient(Agent):
    async def on_user_turn_completed(self, turn_ctx, new_message):
        await self.session.say("Muy bien. ¿Qué más?")
        raise StopResponse


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="patient")

    @hookimpl
    async def create_agent(self, lesson):
        return Patient(instructions="")

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.expects = lambda said: len(said.split()) > 3  # a whole sentence
        await lesson.session.say("Hola. ¿Cómo te llamas?")


plugin = Plugin()
"""


@dataclass(slots=True)
class BurstVisit:
    """The events of a learner's visit, in seconds since the learner entered.

    Attributes:
        replies: Seconds from the last word of each line to the first sound after it; None where
            none came.
    """

    user_id: str
    shown: float | None = None
    notified: float | None = None
    first_sound: float | None = None
    left: float | None = None
    replies: list[float | None] = field(default_factory=list)


@dataclass(slots=True)
class TutorAudio:
    """The times at which the tutor was audible."""

    voice: SpeakingLearner
    visit: BurstVisit
    came: float
    last: float = float("-inf")
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for the length of a block."""
        room = self.voice.room
        async with background() as tasks:

            def on_track(track: rtc.Track, _: object, who: rtc.RemoteParticipant) -> None:
                if track.kind == rtc.TrackKind.KIND_AUDIO:
                    tasks.create_task(self._listen(track, who))

            room.on("track_subscribed", on_track)
            room.on("participant_attributes_changed", self._on_attributes)
            for who in room.remote_participants.values():
                for publication in who.track_publications.values():
                    if publication.track:
                        on_track(publication.track, publication, who)
            yield

    def _on_attributes(self, changed: dict[str, str], _: rtc.Participant) -> None:
        if changed.get(WAITING) == "true" and self.visit.shown is None:
            self.visit.shown = now() - self.came

    async def _listen(self, track: rtc.Track, who: rtc.RemoteParticipant) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).astype(float)
                if np.sqrt(np.mean(samples**2)) < AUDIBLE:
                    continue
                if TUTOR in who.attributes:
                    self.last = now()
                    self._news.set()
                elif self.visit.notified is None:
                    self.visit.notified = now() - self.came
        finally:
            await stream.aclose()

    async def sound_after(self, moment: float) -> float:
        """Wait for a sound of the tutor, and return when it came."""
        while self.last <= moment:
            self._news.clear()
            await self._news.wait()
        return self.last

    async def silence(self) -> None:
        """Wait until the tutor has finished."""
        while (wait := self.last + SETTLED - now()) > 0:  # noqa: ASYNC110  # sound has no event
            await asyncio.sleep(wait)


def now() -> float:
    """Return the moment."""
    return asyncio.get_running_loop().time()


async def talk(parts: Parts, user_id: str, sounds: Sequence[bytes], turns: int) -> BurstVisit:
    """Enter, wait for the greeting, talk for some turns and leave."""
    visit, came = BurstVisit(user_id), now()
    async with entered(parts, user_id, f"room_{user_id}") as voice:
        tutor = TutorAudio(voice, visit, came)
        async with tutor.listening():
            async with asyncio.timeout(STAY):
                visit.first_sound = await tutor.sound_after(came) - came
            for turn in range(turns):
                await tutor.silence()
                await asyncio.sleep(THOUGHT)
                visit.replies.append(await reply(tutor, sounds[turn % len(sounds)]))
            visit.left = now() - came
    return visit


async def reply(tutor: TutorAudio, sound: bytes) -> float | None:
    """Speak a line and return the seconds of silence after it."""
    samples = np.frombuffer(sound, "<i2")
    await tutor.voice.say(sound)
    said = now() - len(samples) / SAMPLE_RATE + audible_extent(samples)[1]
    try:
        async with asyncio.timeout(PATIENCE):
            return await tutor.sound_after(said) - said
    except TimeoutError:
        return None


async def measure(parts: Parts, log: HostLog, learners: int) -> dict[str, Any]:
    """Measure one learner alone, and then all of them at once."""
    sounds = [await synthesise_line(f"{parts.speech_url}/v1", text, "es") for text in LINES]
    alone = await talk(parts, "user_alone", sounds, turns=8)
    await log.until("record.delivered", "user_alone")
    names = [f"user_{number:02}" for number in range(learners)]
    visits = await asyncio.gather(*(talk(parts, name, sounds, turns=6) for name in names))
    for name in names:
        await log.until("record.delivered", name)
    records = [len(await arrived(parts, "sessions", name)) for name in names]
    waited = [one for one in visits if one.shown is not None]
    return {
        "alone": spread(alone.replies),
        "burst": spread([reply for one in visits for reply in one.replies]),
        "ratio": round(ratio(alone, visits), 2),
        "first_sound": spread([one.first_sound for one in visits]),
        "first_sounds": sorted(round(one.first_sound or 0.0, 1) for one in visits),
        "waited": len(waited),
        "shown": spread([one.shown for one in waited]),
        "notified": spread([one.notified for one in waited]),
        "at_once": at_once(visits),
        "last_left": round(max(one.left or 0.0 for one in visits), 1),
        "records": sum(records),
    }


def ratio(alone: BurstVisit, visits: Sequence[BurstVisit]) -> float:
    """Return by how much a reply took longer: each line's beside itself, as some end clearer."""
    lines = [median(known(by_line(alone.replies, line))) for line in range(len(LINES))]
    return median(
        reply / lines[turn % len(LINES)]
        for one in visits
        for turn, reply in enumerate(one.replies)
        if reply is not None
    )


def by_line(replies: Sequence[float | None], line: int) -> Sequence[float | None]:
    """Return the replies to one of the lines."""
    return replies[line :: len(LINES)]


def known(seconds: Sequence[float | None]) -> list[float]:
    """Return what is known, in order."""
    return sorted(one for one in seconds if one is not None)


def at_once(visits: Sequence[BurstVisit]) -> int:
    """Return how many lessons ran at the same time, at most."""
    spans = [(one.first_sound or 0.0, one.left or 0.0) for one in visits]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def spread(seconds: Sequence[float | None]) -> dict[str, float]:
    """Return median, 90th percentile and longest of what is known."""
    found = known(seconds)
    of = {"of": len(seconds), "known": len(found)}
    if len(found) < 2:
        return of
    p90 = quantiles(found, n=10, method="inclusive")[-1]
    figures = {"median": median(found), "p90": p90, "longest": found[-1]}
    return of | {name: round(value, 2) for name, value in figures.items()}


async def main(learners: int, max_lessons: int | Literal["auto"]) -> int:
    """Measure."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tutor = WrittenTutor(CODE, {"max_concurrent_jobs": 100})
        host = host_of(directory, None, {"patient": tutor}, max_lessons=max_lessons)
        parts, log = await stack.enter_async_context(host)
        figures = await measure(parts, log, learners)
    print(json.dumps(figures))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    words = [int(one) for one in sys.argv[1:]]
    sys.exit(asyncio.run(main(words[0] if words else LEARNERS, words[1] if words[1:] else "auto")))

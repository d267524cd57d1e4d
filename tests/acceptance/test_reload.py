"""Tutors enabled, changed and disabled, without a sound in another tutor's lesson."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from livekit import rtc

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_host.system.tasks import background

pytestmark = pytest.mark.timeout(300, func_only=True)

ROOT = Path(__file__).parents[2]
READER = ROOT / "tests" / "acceptance" / "reading_tutor"
AUDIBLE = 300
"""Of 32,768: louder than what silence becomes on its way."""

HEALTHY_SECONDS = 10.0
NOISE = 1.0
"""Seconds by which two stretches of speech may differ on a busy machine; a tutor that came back
to a lost lesson would be silent for more than two."""


@dataclass
class Recording:
    """The times at which a tutor was audible, frame by frame, in seconds of the loop's clock."""

    heard: list[float] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, track: rtc.Track) -> None:
        """Record until cancelled."""
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=24_000, num_channels=1, frame_size_ms=20
        )
        async for event in stream:
            if np.abs(np.frombuffer(event.frame.data, np.int16)).max() > AUDIBLE:
                self.heard.append(asyncio.get_running_loop().time())
                self.began.set()

    def longest_gap(self, since: float, until: float) -> float:
        """Return the longest silence between two times, in seconds."""
        heard = [since, *(at for at in self.heard if since < at < until), until]
        return max(later - earlier for earlier, later in pairwise(heard))


def write(config: Path, tutor: str, **keys: object) -> None:
    """Change keys of a tutor's file."""
    file = config / "tutors" / f"{tutor}.yaml"
    written = yaml.safe_load(file.read_text()) if file.exists() else {}
    new = file.with_suffix(".new")  # the host may be about to read it
    new.write_text(yaml.safe_dump(written | keys))
    new.replace(file)


@asynccontextmanager
async def listening(parts: Parts, room: str) -> AsyncIterator[Recording]:
    """Keep a learner in a room for the duration of a block, and record the tutor there."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        body = {"user_id": "user_ana", "room_name": room}
        joined = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()
    recording, learner = Recording(), rtc.Room()
    async with background() as tasks:

        def record(track: rtc.Track, *_: object) -> None:
            if track.kind == rtc.TrackKind.KIND_AUDIO:
                tasks.create_task(recording.take(track))

        learner.on("track_subscribed", record)
        await learner.connect(joined["url"], joined["token"])
        try:
            yield recording
        finally:
            await learner.disconnect()


async def move(config: Path, log: HostLog) -> None:
    """Enable a tutor, change it, disable it."""
    for keys, fields in (
        ({"enabled": True}, "enabled=grammar"),
        ({"max_concurrent_jobs": 3}, "changed=grammar"),
        ({"enabled": False}, "disabled=grammar"),
    ):
        write(config, "grammar", **keys)
        await log.until("config.reloaded", fields)


async def test_changes_of_one_tutor_are_not_heard_in_the_lessons_of_another(
    tmp_path: Path, speech_url: str
) -> None:
    """Its speech has no longer gaps than before, and its lesson goes on."""
    config, clock = tmp_path / "config", asyncio.get_running_loop().time
    async with local_parts(print, speech_url) as parts:
        write_config(ROOT / "config", config, parts.speech_url, tick_every=2)
        for tutor in ("conversation", "grammar", "pronunciation"):
            write(config, tutor, enabled=False)
        write(config, "reader", agent="reading_tutor:Reader", worker_type="automatic")
        paths = os.pathsep.join([str(READER), os.environ.get("PYTHONPATH", "")])
        with_reader = replace(parts, environ=parts.environ | {"PYTHONPATH": paths})
        async with run_host_process(config, with_reader, print) as log:
            await log.until("host.ready")
            async with listening(parts, "reading") as recording:
                await recording.began.wait()
                for _ in range(3):  # a machine that stalls blurs a comparison
                    began = clock()
                    await asyncio.sleep(HEALTHY_SECONDS)
                    struck = clock()
                    log.lines.clear()
                    await move(config, log)
                    healthy = recording.longest_gap(began, struck)
                    gap = recording.longest_gap(struck, clock())
                    moved = ("lesson.interrupted", "lesson.opened", "lesson.recorded")
                    assert not [line for line in log.lines if any(it in line for it in moved)]
                    if gap <= healthy + NOISE:
                        break
                else:
                    pytest.fail(f"a gap of {gap:.2f} s, {healthy:.2f} s without changes")
            await log.until("lesson.recorded")

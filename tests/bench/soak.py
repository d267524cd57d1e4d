"""Learners who enter and leave while a part fails every few seconds: waits and losses.

Run from the project's root with `python -m tests.bench.soak --minutes 30`; prints its figures as
JSON and ends with 0 if all is well. Everything is real: a host process, a LiveKit server, a dev
API, a speech server. Most learners have a mute tutor, one talks with the conversation tutor.
What is random comes from the seed that is printed first; what happens in between does not.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Never

import httpx
import psutil
import yaml
from livekit import rtc
from tests.bench.processes import pss
from tests.bench.restartable import RestartableLiveKit, RestartableSpeech
from tests.integration.host.conftest import (
    PATIENCE,
    THIRD_PARTY,
    Deployment,
    HostProcess,
    SilentLearner,
    dev_api_for,
    explicit,
    new_room,
)

from loqua_host.dev.parts import run_child, write_config
from loqua_host.dev.scripts import CONVERSATION
from loqua_host.system.tasks import background

CONFIG = Path(__file__).parents[2] / "config"
AGENT = "soaked"
LEARNERS = 5
RECONNECT_TIMEOUT = 8.0
STAYS = (10.0, 40.0)
"""Seconds that a learner stays, at least and at most."""

ABORTED = frozenset({-signal.SIGABRT, -signal.SIGTERM})
"""How a learner's process ends that LiveKit's client has given up (`tests.bench.soak_learner`)."""

OUTAGE = 8.0
LOOK = 0.1
SAMPLE = 3.0
LONG_ENOUGH = 10.0
"""Minutes after which memory and files must be flat; before, the host still warms up."""

FLAT = 1.1
SPARE_FILES = 20
LONGEST_WAIT = 60.0
"""Seconds without a tutor that nothing of all this may cost, on a stalled machine either."""


@dataclass(slots=True, eq=False)
class Guest:
    """A learner without a voice: in a room, briefly away, or disconnected and back again.

    Attributes:
        waiting: Seconds without a tutor up to now, since one was there last.
    """

    user_id: str
    room: str
    visitor: SilentLearner | None = None
    waiting: float = 0.0
    away: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def present(self) -> bool:
        """Whether the learner is in the room."""
        return (
            self.visitor is not None
            and self.visitor.room.connection_state == rtc.ConnectionState.CONN_CONNECTED
        )

    @property
    def is_taught(self) -> bool:
        """Whether a tutor is there."""
        return self.visitor is not None and bool(self.visitor.tutors)

    async def stay(self, deployment: Deployment, seconds: float, pause: float) -> None:
        """Wait in a room for so long; reconnect if disconnected."""
        end = asyncio.get_running_loop().time() + seconds
        body = {"user_id": self.user_id, "room_name": self.room, "agent_name": AGENT}
        (
            await deployment.api.client.put(f"/dev/learners/{self.user_id}", json={})
        ).raise_for_status()
        joined = (await deployment.api.client.post("/api/v1/rooms/join", json=body)).json()
        while asyncio.get_running_loop().time() < end:
            with suppress(TimeoutError, rtc.ConnectError):
                async with deployment.enter(
                    joined["token"], self.user_id, joined["session_id"]
                ) as self.visitor:
                    self.visitor.room.on("disconnected", lambda _: self.away.set())
                    async with asyncio.timeout_at(end):
                        await self.away.wait()
            self.away.clear()
            self.waiting = 0.0
            await asyncio.sleep(pause)


@dataclass(slots=True)
class Tally:
    """The learners' observations."""

    guests: set[Guest] = field(default_factory=set)
    fault: str = "none"
    present: float = 0.0
    alone: float = 0.0
    longest: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    aborted: int = 0

    async def follow(self) -> Never:
        """Record repeatedly who is without a tutor."""
        clock = asyncio.get_running_loop().time
        before = clock()
        while True:
            await asyncio.sleep(LOOK)
            now = clock()
            for guest in self.guests:
                self._note(guest, now - before)
            before = now

    def _note(self, guest: Guest, seconds: float) -> None:
        if not guest.present:
            return
        self.present += seconds
        if guest.is_taught:
            guest.waiting = 0.0
            return
        self.alone += seconds
        guest.waiting += seconds
        self.longest[self.fault] = max(self.longest.get(self.fault, 0.0), guest.waiting)

    async def sample(self, host: HostProcess) -> Never:
        """Measure the host repeatedly."""
        process = psutil.Process(host.pid)
        while True:
            self.memory.append(await asyncio.to_thread(pss, process) / 1e6)
            self.files.append(process.num_fds())
            await asyncio.sleep(SAMPLE)


@dataclass(frozen=True, slots=True)
class Soak:
    """The participants and services of the run."""

    deployment: Deployment
    host: HostProcess
    livekit: RestartableLiveKit
    speech: RestartableSpeech
    random: Random
    tally: Tally

    async def run(self, seconds: float, every: float) -> None:
        """Send learners in and out, and cause a fault every few seconds."""
        async with background() as tasks:
            tasks.create_task(self.tally.follow())
            tasks.create_task(self.tally.sample(self.host))
            for number in range(LEARNERS):
                random = Random(self.random.random())  # noqa: S311  # no secret
                tasks.create_task(self._join_and_leave(random, number))
            tasks.create_task(self._talk())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._break(every)

    async def _join_and_leave(self, random: Random, number: int) -> Never:
        await asyncio.sleep(number)
        while True:
            guest = Guest(f"user_{random.randbytes(6).hex()}", new_room())
            self.tally.guests.add(guest)
            try:
                await guest.stay(
                    self.deployment,
                    random.uniform(*STAYS),
                    random.uniform(0.2, RECONNECT_TIMEOUT / 2),
                )
            finally:
                self.tally.guests.discard(guest)

    async def _talk(self) -> Never:
        """Talk with the conversation tutor, lesson after lesson."""
        while True:
            with suppress(httpx.HTTPError):
                await self._attend_lesson(new_room())
            await asyncio.sleep(1)

    async def _attend_lesson(self, room: str) -> None:
        body = {"user_id": CONVERSATION.user_id, "room_name": room}
        joined = (await self.deployment.api.client.post("/api/v1/rooms/join", json=body)).json()
        environ = {
            **os.environ,
            "LEARNER_URL": joined["url"],
            "LEARNER_TOKEN": joined["token"],
            "SPEECH_URL": self.speech.url,
        }
        command = (sys.executable, "-m", "tests.bench.soak_learner")
        async with run_child(*command, stdout=PIPE, stderr=2, environ=environ) as learner:
            heard, _ = await learner.communicate()
        if learner.returncode in ABORTED:
            self.tally.aborted += 1
            return
        assert learner.returncode == 0, learner.returncode
        self.tally.replies += json.loads(heard)

    async def _break(self, every: float) -> Never:
        """Break each thing once in a random order, and again."""
        faults: dict[str, Callable[[], Awaitable[None]]] = {
            "job_killed": self._kill_job,
            "speech_killed": self.speech.restart,
            "api_outage": self._api_outage,
            "livekit_restarted": self.livekit.restart,
            "left_and_returned": self._call_away,
        }
        while True:
            for kind in self.random.sample([*faults], len(faults)):
                await asyncio.sleep(every)
                self.tally.fault = kind
                self.tally.faults[kind] += 1
                say(f"{kind} beside {len(self.tally.guests)} learners")
                await faults[kind]()

    async def _pick_learner(self) -> Guest:
        """Return a learner who is taught, as soon as there is one."""
        while not (taught := [one for one in self.tally.guests if one.is_taught]):  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(LOOK)
        return self.random.choice(sorted(taught, key=lambda guest: guest.user_id))

    async def _kill_job(self) -> None:
        room = (await self._pick_learner()).room
        await self.host.log.until("probe.ready", room=room)
        with suppress(ProcessLookupError):
            os.kill(self.host.log.find("probe.ready", room=room)[-1]["pid"], signal.SIGKILL)

    async def _api_outage(self) -> None:
        async with self.deployment.api.misbehaving({"kind": "outage"}):
            await asyncio.sleep(OUTAGE)

    async def _call_away(self) -> None:
        (await self._pick_learner()).away.set()

    async def wait_for_records(self) -> Counter[str]:
        """Wait until all records are delivered; return how often each has arrived."""
        with suppress(TimeoutError):
            async with asyncio.timeout(3 * PATIENCE):
                while self.opened() - await self._arrived():  # noqa: ASYNC110  # as an onlooker would
                    await asyncio.sleep(0.5)
        return await self._arrived()

    def opened(self) -> Counter[str]:
        """Count the lessons that were begun, by the id of their record."""
        return Counter(line["session_id"] for line in self.host.log.find("lesson.opened"))

    def errors(self) -> Counter[str]:
        """Count what the host has logged as an error; what LiveKit says has no name."""
        errors = (line["event"] for line in self.host.log.lines if line.get("level") == "error")
        return Counter(event for event in errors if " " not in event)

    async def _arrived(self) -> Counter[str]:
        records = (await self.deployment.api.client.get("/dev/records")).json()["sessions"]
        return Counter(record["payload"]["sessionId"] for record in records)


def say(text: str) -> None:
    """Report the figures to whoever waits for them."""
    sys.stderr.write(f"{text}\n")


def configure(directory: Path, speech_url: str) -> Path:
    """Write a configuration with the conversation tutor and a mute one."""
    config, scripts = directory / "config", directory / "scripts"
    write_config(CONFIG, config, speech_url, tick_every=2)
    overlay = config / "environments" / "development.yaml"
    written = yaml.safe_load(overlay.read_text())
    written["lessons"] |= {
        "reconnect_timeout": RECONNECT_TIMEOUT,
        "max_lessons": 50,
        "silence_prompt_after": 3600,
    }
    written["lessons"] |= {"drain_timeout": 3, "tutor_drain_timeout": 3}
    written["logs"] = {"format": "json", "level": "info"}
    overlay.write_text(yaml.safe_dump(written, allow_unicode=True))
    for name in ("grammar", "pronunciation"):
        (config / "tutors" / f"{name}.yaml").unlink()
    scripts.mkdir()
    [(name, tutor)] = explicit(AGENT).items()
    tutor["settings"] = {"directory": str(scripts)}
    (config / "tutors" / f"{name}.yaml").write_text(yaml.safe_dump(tutor))
    return config


@asynccontextmanager
async def soaked(random: Random, tally: Tally) -> AsyncIterator[Soak]:
    """Run everything for the duration of a block."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        plugins = directory / "plugins"
        command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
        subprocess.run((*command, "--target", plugins, THIRD_PARTY), check=True)  # noqa: S603, ASYNC221  # ours, before anything runs
        async with (
            RestartableLiveKit.run() as livekit,
            RestartableSpeech.run() as speech,
            dev_api_for(livekit.server) as api,
        ):
            deployment = Deployment(livekit.server, api, plugins, directory)
            async with deployment.run(configure(directory, speech.url)) as host:
                yield Soak(deployment, host, livekit, speech, random, tally)


def thirds(samples: list[float]) -> tuple[float, float]:
    """Return the medians of the first and the last third."""
    third = max(1, len(samples) // 3)
    return median(samples[:third]), median(samples[-third:])


def figures(
    tally: Tally, opened: Counter[str], arrived: Counter[str], errors: Counter[str]
) -> dict[str, Any]:
    """Put together what came of it."""
    return {
        "faults": dict(tally.faults),
        "learner_seconds": round(tally.present),
        "learner_seconds_without_tutor": round(tally.alone, 1),
        "longest_wait_after": {kind: round(wait, 1) for kind, wait in tally.longest.items()},
        "lessons": len(opened),
        "records": arrived.total(),
        "lost": len(opened - arrived),
        "twice": sum(count > 1 for count in arrived.values()),
        "spoken_replies": len(tally.replies),
        "learners_aborted": tally.aborted,
        "errors_logged": dict(errors),
        "memory_mb": [round(one) for one in thirds(tally.memory)],
        "open_files": list(thirds(tally.files)),
    }


def is_good(found: dict[str, Any], minutes: float) -> bool:
    """Return whether nobody waited for long, nothing was lost and nothing grew."""
    (before, after), (opened, left) = found["memory_mb"], found["open_files"]
    flat = after <= FLAT * before and left <= opened + SPARE_FILES
    return (
        found["lessons"] == found["records"] > 0
        and not found["lost"]
        and not found["twice"]
        and max(found["longest_wait_after"].values()) <= LONGEST_WAIT
        and (flat or minutes < LONG_ENOUGH)
    )


async def main() -> int:
    """Run the soak test, and print the figures."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--every", type=float, default=20, help="seconds between two faults")
    arguments.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments.add_argument("--log", type=Path, help="where to keep the host's log")
    given = arguments.parse_args()
    say(f"seed {given.seed}")
    tally = Tally()
    async with soaked(Random(given.seed), tally) as soak:  # noqa: S311  # no secret
        await soak.run(given.minutes * 60, given.every)
        arrived = await soak.wait_for_records()
        found = figures(tally, soak.opened(), arrived, soak.errors())
        if given.log:
            given.log.write_text("\n".join(soak.host.log.raw))
    found |= {"seed": given.seed, "minutes": given.minutes}
    good = is_good(found, given.minutes)
    print(json.dumps({**found, "good": good}, indent=2))  # noqa: T201  # the result
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

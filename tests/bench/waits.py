"""How long a learner waits: for the first word of a lesson, and for each reply.

Run from the project's root with `python -m tests.bench.waits [PYTHON]`, where PYTHON is the
interpreter of another checkout's environment to compare with. The hosts share LiveKit, API and
speech and are visited in turn, twice by one learner and then by three at once. Prints
medians in seconds as JSON: of what learners hear, of the stages before the first word (counted
from the learner's joining), and of those that LiveKit times in replies.
"""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from time import time
from typing import Any
from uuid import uuid4

import httpx
import yaml
from tests.integration.host.conftest import Log

from loqua_host.dev.hearing import LessonHeard
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise
from loqua_host.dev.parts import Parts, local_parts, run_child, write_config
from loqua_host.tasks import background

CONFIG = Path(__file__).parents[2] / "config"
LINES = ("Me llamo Ana.", "Una mesa para dos personas.")
AT_ONCE = (1, 1, 3)
STAGES = ("job.accepted", "room.connected", "lesson.opened")

Waits = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Host:
    """A host that runs, and the name of its tutor."""

    name: str
    parts: Parts
    log: Log = field(default_factory=Log)

    async def visit(self) -> Waits:
        """Have a learner talk with the tutor, and give what it waited for."""
        room = f"{self.name}-{uuid4().hex[:8]}"
        body = {"user_id": "user_ana", "room_name": room, "agent_name": self.name}
        async with httpx.AsyncClient(base_url=self.parts.api_url) as client:
            answer = await client.post("/api/v1/rooms/join", json=body)
        joining = answer.raise_for_status().json()
        began = time()
        heard = await self._learner(joining["url"], joining["token"]).serve()
        return self._waits(heard, room, began)

    def _learner(self, url: str, token: str) -> SyntheticLearner:
        async def speak(line: Line) -> bytes:
            return SPOKEN[line.text]

        script = Script(tuple(Line(text, "es") for text in LINES))
        return SyntheticLearner(url=url, token=token, speak=speak, script=script)

    def _waits(self, heard: LessonHeard, room: str, began: float) -> Waits:
        waits: Waits = {"first_word": [heard.join_to_greeting or float("nan")]}
        waits["reply"] = [seconds for seconds in heard.reply_latencies if seconds is not None]
        for stage in STAGES:
            waits[stage] = [at(line) - began for line in self.log.find(stage, room=room)]
        return waits

    def timed(self) -> Waits:
        """Return what LiveKit timed in replies so far."""
        waits: Waits = defaultdict(list)
        for line in self.log.find("voice.timed"):
            for stage in ("hearing", "turn"):
                waits[stage] += [line[stage]] if stage in line else []
        for line in self.log.find("hook.timed"):
            waits[line["hook"]].append(line["seconds"])
        return waits


SPOKEN: dict[str, bytes] = {}


def at(line: dict[str, Any]) -> float:
    """Return the moment of a log line."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@asynccontextmanager
async def host(name: str, python: str, parts: Parts) -> AsyncIterator[Host]:
    """Run a host that has the conversation tutor alone, under this name, once it is ready."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config"
        write_config(CONFIG, config, parts.speech_url, tick_every=30)
        for file in (config / "tutors").iterdir():
            if file.stem != "conversation":
                file.unlink()
        tutor = {"worker_type": "explicit", "agent_name": name, "max_concurrent_jobs": 5}
        (config / "tutors" / "conversation.yaml").write_text(yaml.safe_dump(tutor))
        overlay = config / "environments" / "development.yaml"
        written = yaml.safe_load(overlay.read_text()) | {
            "logs": {"format": "json", "level": "debug"}
        }
        overlay.write_text(yaml.safe_dump(written))
        command = (python, "-m", "loqua_host", "run", "--config", str(config))
        environ = {"PATH": "/usr/bin:/bin", **parts.environ}
        running = Host(name, parts)
        async with (
            background() as tasks,
            run_child(*command, stdout=DEVNULL, stderr=PIPE, environ=environ) as process,
        ):
            assert process.stderr is not None
            tasks.create_task(running.log.read(process.stderr))
            # On a busy machine it takes longer than a test waits.
            while not running.log.find("host.ready"):  # noqa: ASYNC110  # as an onlooker would
                await asyncio.sleep(0.1)
            yield running


def merged(all_waits: Iterable[Waits]) -> Waits:
    """Put what was measured one after the other into one."""
    together: Waits = defaultdict(list)
    for waits in all_waits:
        for stage, seconds in waits.items():
            together[stage] += seconds
    return together


def medians(waits: Waits) -> dict[str, float]:
    """Return the median of each stage."""
    return {stage: round(median(seconds), 2) for stage, seconds in waits.items() if seconds}


async def visits(hosts: Sequence[Host], at_once: int) -> dict[str, list[Waits]]:
    """Visit one host after the other, with so many learners."""
    return {
        one.name: list(await asyncio.gather(*(one.visit() for _ in range(at_once))))
        for one in hosts
    }


async def main(pythons: Sequence[str]) -> int:
    """Measure."""
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(local_parts(lambda _: None))
        for text in LINES:
            SPOKEN[text] = await synthesise(f"{parts.speech_url}/v1", text, "es")
        hosts = [
            await stack.enter_async_context(host(f"host-{number}", python, parts))
            for number, python in enumerate(pythons)
        ]
        seen: dict[str, list[Waits]] = defaultdict(list)
        for at_once in AT_ONCE:
            for name, waits in (await visits(hosts, at_once)).items():
                seen[f"{name}, {at_once} at once"] += waits
        figures = {name: medians(merged(waits)) for name, waits in seen.items()}
        figures |= {f"{one.name}, replies": medians(one.timed()) for one in hosts}
    print(json.dumps(figures, indent=2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main((sys.executable, *sys.argv[1:2]))))

"""`loqua-host demo`: the production process against local parts, taught by nobody, heard by all.

Three synthetic learners enter three rooms: one is met by the automatic tutor, one has a token
that names the pronunciation specialist, and into the third's room, where the automatic tutor
serves, the grammar specialist is called by CreateDispatch.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from livekit import api

from loqua_host.errors import LoquaError
from loqua_host.tasks import background

from .hearing import Heard, LessonHeard
from .learner import Line, Script, SyntheticLearner, synthesise
from .parts import Parts, local_parts, run_child, write_config
from .scripts import LESSONS, ScriptedLesson, mismatches

__all__ = ["run_demo"]

Say = Callable[[str], None]

TICK_EVERY = 5.0
RECORDS_SECONDS = 60.0
KEPT = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR", "VIRTUAL_ENV")


@dataclass(slots=True)
class HostLog:
    """The host's log lines as they come: shown, and waited for."""

    show: Say
    lines: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read until the host ends."""
        async for raw in stream:
            self.lines.append(raw.decode(errors="replace").rstrip())
            self.show(self.lines[-1])
            self._changed.set()
        self.lines.append("the host has ended")
        self._changed.set()

    async def until(self, *words: str) -> None:
        """Wait for a line that has all these words.

        Raises:
            LoquaError: If the host ends first.
        """
        while not any(all(word in line for word in words) for line in self.lines):
            if self.lines and self.lines[-1] == "the host has ended":
                raise LoquaError("the host ended early; its last lines say why")
            self._changed.clear()
            await self._changed.wait()


async def run_demo(config: Path, *, once: bool, say: Say) -> int:
    """Show three lessons; gives the exit code.

    Args:
        config: The config/ to run with, local addresses laid over a copy of it.
        once: End when the records have arrived, print them as JSON on standard output, and
            exit with 1 unless they say what the scripts said. Otherwise stay until Ctrl-C.
        say: Takes each line of what happens.
    """
    with TemporaryDirectory(prefix="loqua-demo-") as directory:
        async with local_parts(say) as parts:
            written = Path(directory) / "config"
            write_config(config, written, parts.speech_url, tick_every=TICK_EVERY)
            say("starting the host: its tutors are looked at first, each in a child")
            async with run_host_process(written, parts, say) as log:
                await log.until("host.ready")
                say("three learners enter, each having its sentences spoken by the speech server")
                records = await _teach_all(parts, log, say)
                wrong = _check(records, say)
                if once:
                    print(json.dumps(records, indent=2, ensure_ascii=False))  # noqa: T201  # the result
                    return 1 if wrong else 0
                say(f"the records show at {parts.api_url}; Ctrl-C ends the demo")
                await asyncio.Event().wait()
    return 0


@asynccontextmanager
async def run_host_process(config: Path, parts: Parts, say: Say) -> AsyncIterator[HostLog]:
    """Run `loqua-host run` for as long as the block lasts and give its log."""
    environ = {name: os.environ[name] for name in KEPT if name in os.environ} | parts.environ
    command = (sys.executable, "-m", "loqua_host", "run", "--config", str(config))
    log = HostLog(say)
    async with (
        background() as tasks,
        run_child(*command, stdout=DEVNULL, stderr=PIPE, environ=environ) as process,
    ):
        tasks.create_task(log.read(_stderr(process)))
        yield log


def _stderr(process: Process) -> asyncio.StreamReader:
    if process.stderr is None:
        raise LoquaError("the host was started without a pipe for its log")
    return process.stderr


async def _teach_all(parts: Parts, log: HostLog, say: Say) -> dict[str, Any]:
    """Let the learners have their lessons, side by side, and give what the API received."""
    expected = sum(len(lesson.records) for lesson in LESSONS)
    async with (
        httpx.AsyncClient(base_url=parts.api_url, timeout=None) as client,  # noqa: S113  # a stream
        background() as tasks,
    ):
        arrived = tasks.create_task(_await_sessions(client, expected))
        async with asyncio.TaskGroup() as lessons:
            for lesson in LESSONS:
                lessons.create_task(_teach(lesson, parts, client, log, say))
        try:
            async with asyncio.timeout(RECORDS_SECONDS):
                await arrived
        except TimeoutError:
            say(f"not all {expected} records arrived within {RECORDS_SECONDS:g} s")
        answer = await client.get("/dev/records")
        received: dict[str, Any] = answer.raise_for_status().json()
    return {kind: received[kind] for kind in ("progress", "sessions")}


async def _await_sessions(client: httpx.AsyncClient, expected: int) -> None:
    async with client.stream("GET", "/dev/events", headers={"Last-Event-ID": "0"}) as events:
        async for line in events.aiter_lines():
            expected -= line == "event: sessions"
            if not expected:
                return


async def _teach(
    lesson: ScriptedLesson, parts: Parts, client: httpx.AsyncClient, log: HostLog, say: Say
) -> LessonHeard:
    room = f"demo-{lesson.name}"
    body = {"user_id": lesson.user_id, "room_name": room}
    if lesson.enters_with:
        body["agent_name"] = lesson.enters_with
    joined = (await client.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    def show(heard: Heard) -> None:
        say(f"  {room} {heard.at:5.1f} s  {heard.speaker}: {heard.text}")

    async def speak(line: Line) -> bytes:
        return await synthesise(f"{parts.speech_url}/v1", line.text, line.language)

    learner = SyntheticLearner(
        url=joined["url"],
        token=joined["token"],
        speak=speak,
        script=Script(tuple(Line(text, lesson.language) for text in lesson.lines)),
        on_heard=show,
        answers=lesson.called or lesson.enters_with,
    )
    async with background() as tasks:
        if lesson.called:
            tasks.create_task(_call(lesson.called, room, parts, log))
        heard = await learner.attend()
    replies = [seconds for seconds in heard.reply_latencies if seconds is not None]
    say(
        f"  {room} heard its tutor {heard.join_to_greeting or float('nan'):.2f} s after joining, "
        f"replies after {', '.join(f'{seconds:.2f}' for seconds in replies)} s"
    )
    return heard


async def _call(agent_name: str, room: str, parts: Parts, log: HostLog) -> None:
    """Call a specialist into a room that another tutor already serves."""
    await log.until("lesson.opened", f"room={room}")
    livekit = parts.livekit
    async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
        await rooms.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=agent_name, room=room)
        )


def _check(records: dict[str, Any], say: Say) -> list[str]:
    wrong = [fault for lesson in LESSONS for fault in mismatches(lesson, records)]
    for fault in wrong:
        say(f"WRONG {fault}")
    if not wrong:
        say("all records arrived and say what the learners said")
    return wrong

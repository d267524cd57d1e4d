"""`loqua-host demo`: the production host with local services and synthetic learners.

Three synthetic learners enter three rooms. The automatically dispatched tutor joins the first. The
second has a token that names the pronunciation specialist. The third has the automatic tutor, and
the grammar specialist is called by CreateDispatch.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from livekit import api

from loqua_host.errors import LoquaError
from loqua_host.livekit_internals import silence_native_log
from loqua_host.settings.host import Environment
from loqua_host.settings.tutors import TutorSettings
from loqua_host.settings.variables import read_environ
from loqua_host.system.tasks import background

from .hearing import LessonHeard, TranscriptSegment
from .learner import Line, Script, SyntheticLearner, synthesise_line
from .parts import (
    RECONNECT_TIMEOUT,
    Parts,
    inherited_environ,
    local_parts,
    run_child,
    write_config,
)
from .playground.command import offer, open_page
from .playground.server import PlaygroundSettings, serve_playground
from .scripts import LESSONS, SCRIPTED, ScriptedLesson, mismatches
from .tutors import choose_tutors

__all__ = ["HostLog", "playable", "run_demo", "run_host_process"]

Say = Callable[[str], None]

TICK_EVERY = 5.0
RETURN_TIMEOUT = 10.0
"""Seconds that a lesson waits for a person who left: synthetic learners do not return."""

RECORDS_SECONDS = 60.0


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
    """Show the lessons whose tutors run here; gives the exit code.

    Args:
        config: The config/ to run with, local addresses laid over a copy of it.
        once: End when the records have arrived, print them as JSON on standard output, and
            exit with 1 unless they say what the scripts said. Otherwise stay until Ctrl-C.
        say: Takes each line of what happens.

    Raises:
        LoquaError: A part cannot be had, or none of the tutors can run; the message says why.
    """
    silence_native_log()
    with TemporaryDirectory(prefix="loqua-demo-") as directory:
        written = Path(directory) / "config"
        async with local_parts(say) as parts:
            write_config(
                config,
                written,
                parts.speech_url,
                tick_every=TICK_EVERY,
                reconnect_timeout=RECONNECT_TIMEOUT if once else RETURN_TIMEOUT,
            )
            say("looking at the tutors, each in a child")
            environ, tutors = await _prepare(config, written, parts, say)
            lessons = _choose_lessons(tutors, say)
            async with run_host_process(written, replace(parts, environ=environ), say) as log:
                await log.until("host.ready")
                if once:
                    return await _play_once(lessons, parts, log, say)
                async with serve_playground(_playground(parts, tutors)) as url:
                    say(f"talk with a tutor yourself at {url}")
                    await open_page(url)
                    _check(lessons, await _teach_all(lessons, parts, log, say), say)
                    say(f"the page stays at {url}, the records at {parts.api_url}; Ctrl-C ends all")
                    await asyncio.Event().wait()
    return 0


async def _play_once(
    lessons: Sequence[ScriptedLesson], parts: Parts, log: HostLog, say: Say
) -> int:
    """Play the lessons, print the records, and return 1 if they are not as scripted."""
    records = await _teach_all(lessons, parts, log, say)
    print(json.dumps(records, indent=2, ensure_ascii=False))  # noqa: T201  # the result
    return 1 if _check(lessons, records, say) else 0


def _playground(parts: Parts, tutors: Sequence[TutorSettings]) -> PlaygroundSettings:
    return PlaygroundSettings(parts.api_url, parts.livekit.url, offer(tutors))


async def _prepare(
    config: Path, written: Path, parts: Parts, say: Say
) -> tuple[dict[str, str], tuple[TutorSettings, ...]]:
    """Drop tutors that cannot run; return the host's environment and the other tutors."""
    environ = inherited_environ() | parts.environ
    given = read_environ(config, {**os.environ, "LOQUA_ENVIRONMENT": Environment.DEVELOPMENT})
    tutors = await choose_tutors(written, environ, given)
    for name, why in tutors.left_out.items():
        say(f"the tutor {name} is left out: {why.replace(str(written), str(config))}")
    return {**tutors.variables, **parts.environ}, tutors.running


def _choose_lessons(tutors: Sequence[TutorSettings], say: Say) -> list[ScriptedLesson]:
    lessons = playable(tutors)
    for lesson in LESSONS:
        if lesson not in lessons:
            say(f"the lesson {lesson.name} is left out: not all of its tutors run here")
    return lessons


def playable(tutors: Sequence[TutorSettings]) -> list[ScriptedLesson]:
    """List the scripted lessons whose tutors are all among these.

    Raises:
        LoquaError: There is none.
    """
    running = {(tutor.plugin, tutor.agent_name) for tutor in tutors}
    lessons = [lesson for lesson in LESSONS if lesson.tutors <= running]
    if not lessons:
        known = ", ".join(f"loqua-tutor-{plugin}" for plugin, _ in sorted(SCRIPTED, key=str))
        raise LoquaError(
            f"the demo has no tutor to show: install one of {known}, and enable it in "
            "config/tutors under its own agent_name"
        )
    return lessons


@asynccontextmanager
async def run_host_process(config: Path, parts: Parts, say: Say) -> AsyncIterator[HostLog]:
    """Run `loqua-host run` for as long as the block lasts and give its log."""
    environ = inherited_environ() | parts.environ
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


async def _teach_all(
    scripted: Sequence[ScriptedLesson], parts: Parts, log: HostLog, say: Say
) -> dict[str, Any]:
    """Run the learners' lessons side by side; return what the API received."""
    expected = sum(len(lesson.records) for lesson in scripted)
    async with (
        httpx.AsyncClient(base_url=parts.api_url, timeout=None) as client,  # noqa: S113  # a stream
        background() as tasks,
    ):
        arrived = tasks.create_task(_await_sessions(client, expected))
        async with asyncio.TaskGroup() as lessons:
            for lesson in scripted:
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

    def show(heard: TranscriptSegment) -> None:
        say(f"  {room} {heard.at:5.1f} s  {heard.speaker}: {heard.text}")

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

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
        heard = await learner.run()
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


def _check(scripted: Sequence[ScriptedLesson], records: dict[str, Any], say: Say) -> list[str]:
    wrong = [fault for lesson in scripted for fault in mismatches(lesson, records)]
    for fault in wrong:
        say(f"WRONG {fault}")
    if not wrong:
        say("all records arrived and say what the learners said")
    return wrong

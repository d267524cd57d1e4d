"""A host's process for a lesson by script in a real room."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
import yaml
from pydantic import TypeAdapter

from loqua_host.contract.tutor import Tutor
from loqua_host.dev.parts import Parts, inherited_environ, run_child, write_config
from loqua_host.settings.templates import TEMPLATES
from loqua_host.system.tasks import background

from .replies import Reply
from .room_specialist import agent_class_name
from .script import LessonScript, ScriptError
from .steps import KillJob, RestartHost, TutorCalls

__all__ = ["TUTOR", "RoomHost", "check_playable", "write_room_config"]

TUTOR: Final = "tutor"
"""The script's tutor, by its file in config/tutors."""

REPLIES: TypeAdapter[tuple[Reply, ...]] = TypeAdapter(tuple[Reply, ...])

LogEntry = Mapping[str, Any]


class RoomHost:
    """A host's process, which can be killed and started again, and its log.

    Args:
        config: Its config/.
        parts: What it uses.
        secrets: The secrets of its tutor.

    Attributes:
        log: Its log events, as structlog's fields.
    """

    def __init__(self, config: Path, parts: Parts, secrets: Mapping[str, str]) -> None:
        self._config = config
        logs = {"LOQUA_LOGS__FORMAT": "json", "LOQUA_LOGS__LEVEL": "debug"}
        self._environ = inherited_environ() | parts.environ | logs | dict(secrets)
        self.log: list[LogEntry] = []
        self._changed = asyncio.Event()
        self._process: Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it for the duration of a block."""
        async with AsyncExitStack() as self._stack:
            await self.start()
            yield

    async def start(self) -> None:
        """Start its process, and wait until it serves."""
        seen = len(self.log)
        command = (sys.executable, "-m", "loqua_host", "run", "--config", str(self._config))
        tasks = await self._stack.enter_async_context(background())
        running = run_child(*command, stdout=DEVNULL, stderr=PIPE, environ=self._environ)
        self._process = await self._stack.enter_async_context(running)
        tasks.create_task(self._read(self._process))
        await self.until("host.ready", after=seen)

    async def kill(self) -> None:
        """Kill its process with all jobs."""
        if self._process is not None:
            for one in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def kill_job(self) -> None:
        """Kill the process of the tutor's job."""
        [*_, pid] = (
            one["pid"]
            for one in self.log
            if one["event"] == "room.connected" and one.get("tutor") == TUTOR
        )
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async def until(self, event: str, *, after: int = 0, **fields: Any) -> LogEntry:
        """Return the first log event with these fields, once it is there.

        Args:
            event: Its name.
            after: How many of the events before do not count.
            fields: Its fields.

        Raises:
            ScriptError: If the host ends.
        """
        while True:
            for one in self.log[after:]:
                if one["event"] == event and fields.items() <= one.items():
                    return one
            if self._process is None or self._process.returncode is not None:
                events = "\n".join(map(str, self.log[-20:]))
                raise ScriptError(f"the host has ended; its last events:\n{events}")
            self._changed.clear()
            await self._changed.wait()

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            with suppress(ValueError):  # lines that are no log events
                entry = json.loads(line)
                if isinstance(entry, dict) and "event" in entry:
                    self.log.append(entry)
                    self._changed.set()
        await process.wait()
        self._changed.set()


def check_playable(script: LessonScript) -> None:
    """Refuse what a real room cannot play.

    Raises:
        ScriptError: With what it is.
    """
    jobs = any(isinstance(step, KillJob | RestartHost) for step in script.steps)
    if script.realtime:
        raise ScriptError("realtime: a real room has no such model; play it on virtual time")
    if script.replies and jobs:
        raise ScriptError("replies: each job would begin with the first; play it on virtual time")
    if any(isinstance(step, TutorCalls) and step.outcome == "absent" for step in script.steps):
        raise ScriptError("tutor_calls: in a real room a specialist comes; leave out `absent`")


def write_room_config(target: Path, script: LessonScript, tutor: Tutor, speech_url: str) -> None:
    """Write the config/ of a host that teaches the lesson of a script.

    Args:
        target: Where to write it.
        script: The script.
        tutor: What its tutor declares.
        speech_url: The speech server's address.
    """
    timeout = script.reconnect_timeout
    write_config(TEMPLATES, target, speech_url, tick_every=30.0, reconnect_timeout=timeout)
    for file in (target / "tutors").glob("*.yaml"):
        file.unlink()
    written = {
        **({"agent": script.agent} if script.agent else {"plugin": script.tutor}),
        **_dispatched(tutor.agent_name),
        "settings": script.settings,
        "language": script.language,
        "audio_input": script.audio_input,
        "secrets": list(tutor.secrets),
    }
    if script.replies:
        answers = REPLIES.dump_python(script.replies, mode="json")
        model = {"use": "loqua_host.testing.voice:ScriptedLLM", "options": {"answers": answers}}
        written["engines"] = {"llm": model}
    _write(target, TUTOR, written)
    for step in script.steps:
        if isinstance(step, TutorCalls):
            name = agent_class_name(step.outcome, step.seconds)
            agent = f"loqua_host.testing.room_specialist:{name}"
            _write(target, step.agent_name, {"agent": agent, **_dispatched(step.agent_name)})


def _dispatched(agent_name: str | None) -> dict[str, Any]:
    kind = "explicit" if agent_name else "automatic"
    return {"worker_type": kind, "agent_name": agent_name, "max_concurrent_jobs": 2}


def _write(target: Path, name: str, written: dict[str, Any]) -> None:
    file = target / "tutors" / f"{name}.yaml"
    file.write_text(yaml.safe_dump(written, allow_unicode=True), "utf-8")

"""The deployment of all tests of the host process: LiveKit, a dev API and hosts.

The tutor is a third party's: a distribution of its own, built and installed beside the
environment, that the hosts find by its entry points. It has no voice; what it does in a room
a test writes down beforehand.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import yaml
from livekit import rtc
from livekit.api import (
    AccessToken,
    CreateAgentDispatchRequest,
    CreateRoomRequest,
    DeleteRoomRequest,
    LiveKitAPI,
    RoomAgentDispatch,
    TwirpError,
    VideoGrants,
)
from tests.integration.host.warm_hosts import ForkedHost, WarmHosts, warm_hosts

from loqua_host.dev.api import DevApiSettings, serve
from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.learner import joined
from loqua_host.dev.livekit import LiveKitServer
from loqua_host.system.tasks import background

THIRD_PARTY = Path(__file__).parents[2] / "acceptance" / "third_party_tutor"
PATIENCE = 40.0
"""Seconds for anything to happen on a machine that is busy with something else."""

START_PATIENCE = 3 * PATIENCE
"""Seconds for what takes a machine's cores for seconds, such as the start of a host."""

EMPTY_ROOM = f"empty-{uuid4().hex[:12]}"
"""A room that the shared host serves from its start and that no learner ever enters."""

FRESH = httpx.Limits(max_keepalive_connections=0)
"""Connections for one request each: a kept one may be closed just when it is used again."""

KEPT = ("HOME", "LANG", "PATH", "TMPDIR")
ENDED = {"event": "ended"}


CHATTER = re.compile(r'"event": ?"(api\.called|probe\.tick|progress\.made)"')
"""Lines that come all the time, whatever else happens."""


@dataclass(slots=True)
class HostLogLines:
    """A host's log lines as they come, as mappings.

    A test sees those that were written since it began: what a test before it has waited for is not
    taken for what it waits for itself.

    Attributes:
        every: All lines, from the start of the host.
        raw: The same as they were written.
        since: The number of the first one that a test sees.
    """

    every: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    since: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that a test sees."""
        return self.every[self.since :]

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read until the host ends."""
        async for line in stream:
            self.raw.append(line.decode(errors="replace").rstrip())
            if line.startswith(b"{"):
                self.every.append(json.loads(line))
            self._wake()
        self.every.append(ENDED)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def find(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of an event that have these fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines if wanted.items() <= _plain(line).items()]

    async def until(
        self, event: str, *, count: int = 1, patience: float = PATIENCE, **fields: object
    ) -> dict[str, Any]:
        """Wait for the `count`-th line of an event with these fields, and give it."""
        try:
            async with asyncio.timeout(patience):
                while len(found := self.find(event, **fields)) < count:
                    assert self.every[-1:] != [ENDED], self.tail()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {event} {fields} in the log:\n{self.tail()}") from None
        return found[count - 1]

    def tail(self) -> str:
        """Return the last lines but for chatter, for a failure's message."""
        return "\n".join([line for line in self.raw if not CHATTER.search(line)][-60:])


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if isinstance(value, str | int | float)}


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A host process, running or ended."""

    process: Process | ForkedHost
    log: HostLogLines
    directory: Path

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self.process.pid

    @property
    def ops_port(self) -> int:
        """The port of its ops address."""
        return next(line["port"] for line in self.log.every if line["event"] == "ops.serving")

    @asynccontextmanager
    async def asking(self, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client of its ops address."""
        url, headers = f"http://127.0.0.1:{self.ops_port}", {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers if token else None, timeout=PATIENCE
        ) as client:
            yield client

    async def until_ready(self, status: int = 200) -> None:
        """Wait until the host is ready, or is not (503).

        On a busy machine it is not at once: a probe that took too long counts until the next one.
        """
        async with self.asking() as client, asyncio.timeout(2 * PATIENCE):
            while (await client.get("/health/ready")).status_code != status:  # noqa: ASYNC110  # as a kubelet does
                await asyncio.sleep(0.5)

    @property
    def scripts(self) -> Path:
        """The directory of the tutor's scripts and findings."""
        return self.directory / "scripts"

    def script(self, room: str, *, tutor: str = "probe", **lines: object) -> None:
        """Write what a tutor is to do in a room, who looks at every tick."""
        replace_text(self.scripts / f"{room}.{tutor}.json", json.dumps(lines))

    async def ended(self) -> int:
        """Wait for its end and that of its log, and return its exit code."""
        await self.log.until("ended")
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@dataclass(frozen=True, slots=True)
class DevApiClient:
    """A client of the dev API."""

    settings: DevApiSettings
    url: str
    client: httpx.AsyncClient
    seen: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def arrivals(self, kind: str, user_id: str) -> list[dict[str, Any]]:
        """List what arrived of a kind for a learner, oldest first."""
        records = (await self.client.get("/dev/records")).raise_for_status().json()
        return [arrival for arrival in records[kind] if arrival["user_id"] == user_id]

    async def until(
        self, kind: str, user_id: str, *, count: int = 1, patience: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait for the `count`-th arrival of a kind for a learner, and give it."""
        try:
            async with asyncio.timeout(patience):
                while len(found := self.seen.get((kind, user_id), [])) < count:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"{len(found)} of {count} {kind} of {user_id} arrived") from None
        return found[count - 1]

    async def follow(self) -> None:
        """Take note of what arrives, until cancelled."""
        since = {"Last-Event-ID": "0"}  # what comes before the API hears of us counts, too
        async with self.client.stream("GET", "/dev/events", headers=since, timeout=None) as events:
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    arrival = json.loads(line.removeprefix("data: "))
                    place = (arrival["kind"], arrival["user_id"])
                    self.seen.setdefault(place, []).append(arrival)
                    self.news.set()

    @asynccontextmanager
    async def misbehaving(self, *faults: Mapping[str, object]) -> AsyncIterator[None]:
        """Make the API misbehave for the duration of a block."""
        answer = await self.client.put("/dev/faults", json={"faults": list(faults)})
        answer.raise_for_status()
        try:
            yield
        finally:
            await self.client.delete("/dev/faults")


@dataclass(frozen=True, slots=True)
class SilentLearner:
    """A learner in a room, without a voice."""

    room: rtc.Room
    user_id: str
    session_id: str
    token: str
    _changed: asyncio.Event

    @property
    def name(self) -> str:
        """The room's name."""
        return self.room.name

    @property
    def tutors(self) -> list[rtc.RemoteParticipant]:
        """The agents in the room."""
        agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return [who for who in self.room.remote_participants.values() if who.kind == agent]

    async def until(self, met: Callable[[list[rtc.RemoteParticipant]], bool]) -> None:
        """Wait until the tutors in the room are as they should be."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not met(self.tutors):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            there = [(one.identity, one.attributes) for one in self.tutors]
            raise AssertionError(f"in {self.name} there are still {there}") from None

    async def met(self, count: int = 1) -> None:
        """Wait until so many tutors are in the room."""
        await self.until(lambda tutors: len(tutors) == count)

    async def alone(self) -> None:
        """Wait until no tutor is in the room."""
        await self.met(0)

    async def leave(self) -> None:
        """Leave the room; once is enough."""
        if self.room.isconnected():
            await self.room.disconnect()


@dataclass(frozen=True, slots=True)
class Deployment:
    """The services of a test of the host process."""

    livekit: LiveKitServer
    api: DevApiClient
    plugins: Path
    directory: Path
    logs: list[HostLogLines] = field(default_factory=list)
    warm: WarmHosts | None = None

    def environ(self) -> dict[str, str]:
        """Return the guide's variables, secrets among them."""
        return {
            "AGENT_ID": "loqua-test",
            "AGENT_JWT_TOKEN": self.api.settings.mint_agent_jwt("loqua-test"),
            "API_BASE_URL": self.api.url,
            "DEV_AGENT_SECRET": self.api.settings.shared_secret.get_secret_value(),
            "LIVEKIT_URL": self.livekit.url,
            "LIVEKIT_API_KEY": self.livekit.api_key,
            "LIVEKIT_API_SECRET": self.livekit.api_secret,
        }

    @asynccontextmanager
    async def host(
        self,
        directory: Path,
        tutors: Mapping[str, Mapping[str, object]],
        *,
        wrapper: tuple[str, ...] | None = None,
        environ: Mapping[str, str] | None = None,
        lessons: Mapping[str, object] | None = None,
    ) -> AsyncIterator[HostProcess]:
        """Run `loqua-host run` in a directory for the length of a block, once it is ready.

        Args:
            directory: For config, ledger, socket and scripts; one that has been used before
                is gone on with.
            tutors: The files of config/tutors.
            wrapper: A command in front of the host's. With one, also an empty one, the host is a
                program of its own, as users start it; without, it is forked from a warm one.
            environ: Over the deployment's variables.
            lessons: Over the quick settings of config/host.yaml's `lessons`.
        """
        config = write_config(directory, tutors, lessons or {})
        async with self.run(config, wrapper=wrapper, environ=environ) as host:
            yield host

    @asynccontextmanager
    async def run(
        self,
        config: Path,
        *,
        wrapper: tuple[str, ...] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> AsyncIterator[HostProcess]:
        """Run `loqua-host run` with a configuration for the length of a block, once it is ready."""
        directory = config.parent
        variables = tutors_environ(self.plugins) | self.environ() | dict(environ or {})
        arguments = ("run", "--config", str(config))
        if self.warm is None or wrapper is not None or "PYTHONPATH" in (environ or {}):
            process, stream = await _start_cold(wrapper or (), arguments, variables)
        else:
            process, stream = await self.warm.start(arguments, variables)
        log = HostLogLines()
        async with background() as tasks:
            tasks.create_task(log.read(stream))
            self.logs.append(log)
            try:
                await log.until("host.ready", patience=START_PATIENCE)
                yield HostProcess(process, log, directory)
            finally:
                await _end(process)
                await log.until("ended")  # the last lines may still be in the pipe
                self.logs.remove(log)
                (directory / "log").write_text("\n".join(log.raw))

    @asynccontextmanager
    async def visit(
        self, room: str | None = None, *, user_id: str | None = None, agent_name: str | None = None
    ) -> AsyncIterator[SilentLearner]:
        """Keep a new learner in a room, with a token of the API's /rooms/join."""
        room, user_id = room or new_room(), user_id or f"user_{uuid4().hex[:12]}"
        (await self.api.client.put(f"/dev/learners/{user_id}", json={})).raise_for_status()
        body = {"user_id": user_id, "room_name": room}
        if agent_name:
            body["agent_name"] = agent_name
        joined = (await self.api.client.post("/api/v1/rooms/join", json=body)).raise_for_status()
        answer = joined.json()
        async with self.enter(answer["token"], user_id, answer["session_id"]) as visitor:
            yield visitor

    @asynccontextmanager
    async def enter(
        self, token: str, user_id: str, session_id: str
    ) -> AsyncIterator[SilentLearner]:
        """Keep a participant in a room, with any token."""
        changed = asyncio.Event()
        async with joined(self.livekit.url, token) as room:
            for event in (
                "participant_connected",
                "participant_disconnected",
                "participant_attributes_changed",
            ):
                room.on(event, lambda *_: changed.set())
            yield SilentLearner(room, user_id, session_id, token, changed)

    def token(self, room: str, attributes: dict[str, str], **grants: Any) -> str:
        """Return a learner's token as somebody else than the API would issue it."""
        made = AccessToken(self.livekit.api_key, self.livekit.api_secret)
        made = made.with_identity(f"learner-{uuid4().hex[:8]}").with_attributes(attributes)
        return made.with_grants(VideoGrants(room_join=True, room=room, **grants)).to_jwt()

    async def dispatch(self, agent_name: str, room: str) -> None:
        """Call a specialist into a room by CreateDispatch."""
        async with self.rooms() as rooms:
            await rooms.agent_dispatch.create_dispatch(
                CreateAgentDispatchRequest(agent_name=agent_name, room=room)
            )

    async def open_room(self, room: str, *agent_names: str) -> None:
        """Create a room that stays open for two minutes although nobody is in it.

        Args:
            room: Its name.
            agent_names: Who is dispatched to it; without one, every automatic tutor.
        """
        agents = [RoomAgentDispatch(agent_name=one) for one in agent_names]
        request = CreateRoomRequest(
            name=room, empty_timeout=120, departure_timeout=120, agents=agents
        )
        async with self.rooms() as rooms:
            await rooms.room.create_room(request)

    async def close_room(self, room: str) -> None:
        """Close a room; one that is closed already is no error."""
        async with self.rooms() as rooms:
            with contextlib.suppress(TwirpError):
                await rooms.room.delete_room(DeleteRoomRequest(room=room))

    @asynccontextmanager
    async def rooms(self) -> AsyncIterator[LiveKitAPI]:
        """Yield LiveKit's own API."""
        livekit = self.livekit
        async with LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
            yield rooms


def at(line: Mapping[str, Any]) -> float:
    """Return the moment of a log line."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def new_room() -> str:
    """Return a room that no other test has."""
    return f"room-{uuid4().hex[:12]}"


def explicit(agent_name: str) -> dict[str, dict[str, object]]:
    """Return the tutors of a host that has the specialist alone, under this name."""
    return {
        "probe-specialist": {
            "worker_type": "explicit",
            "agent_name": agent_name,
            "max_concurrent_jobs": 20,
        }
    }


def write_config(
    directory: Path, tutors: Mapping[str, Mapping[str, object]], lessons: Mapping[str, object]
) -> Path:
    """Write a configuration with everything quick, for tutors that need no engines.

    Only the API and hooks, which are quick, have more time than they need on an idle machine.
    """
    config, scripts = directory / "config", directory / "scripts"
    for folder in (config / "tutors", scripts):
        folder.mkdir(parents=True, exist_ok=True)
    host = {
        "api": {"connect_timeout": 10, "attempt_timeout": 10, "deadline": 14},
        "lessons": {
            "learner_timeout": 30,
            "tick_every": 0.3,
            "silence_prompt_after": 3600,  # a test's learners say nothing
            "reconnect_timeout": 0.2,
            "health_every": 2,
            "drain_timeout": 3,
            "tutor_drain_timeout": 3,
            "max_lessons": 50,
            "limits": {
                "create_agent": 5,
                "on_user_ready": 6,  # in which some scripts connect to the host
                "on_progress_tick": 3,
                "on_session_end": 5,
            },
            **lessons,
        },
        "ledger": {"path": str(directory / "ledger.db")},
        "logs": {"format": "json", "level": "info"},
        "ops": {"port": 0},
    }
    replace_text(config / "host.yaml", yaml.safe_dump(host))
    for name, tutor in tutors.items():
        sandbox = {"writable": [str(scripts)], **tutor.get("sandbox", {})}  # type: ignore[dict-item]
        settings = {} if "agent" in tutor else {"settings": {"directory": str(scripts)}}
        written = {**tutor, **settings, "sandbox": sandbox}
        replace_text(config / "tutors" / f"{name}.yaml", yaml.safe_dump(written))
    return config


def replace_text(file: Path, text: str) -> None:
    """Write a file that somebody may be about to read: they get all of it, or what was before."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.replace(file)


def tutors_environ(plugins: Path) -> dict[str, str]:
    """Return the environment of a host that finds these plugins, but for the guide's variables."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    paths = os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")])
    return kept | {"PYTHONPATH": paths}


async def _start_cold(
    wrapper: Sequence[str], arguments: Sequence[str], environ: Mapping[str, str]
) -> tuple[Process, asyncio.StreamReader]:
    """Start a host as a program of its own; return it and its log."""
    command = (*wrapper, sys.executable, "-m", "loqua_host", *arguments)
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command),
        stdout=DEVNULL,
        stderr=PIPE,
        env=environ,
        start_new_session=True,
    )
    assert process.stderr is not None
    return process, process.stderr


async def _end(process: Process | ForkedHost) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory into which the third party's tutor has been built and installed."""
    source = tmp_path_factory.mktemp("third-party") / "source"
    shutil.copytree(THIRD_PARTY, source)
    target = source.parent / "installed"
    command = ("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable)
    subprocess.run((*command, "--target", target, source), check=True)  # noqa: S603  # ours
    return target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dev_api(livekit_server: LiveKitServer) -> AsyncIterator[DevApiClient]:
    """Yield a dev API whose secrets the test session knows."""
    async with dev_api_for(livekit_server) as served:
        yield served


def dev_api_settings(livekit: LiveKitServer) -> DevApiSettings:
    """Return the settings of a dev API whose learners enter the rooms of a server."""
    return DevApiSettings.model_validate(
        {
            "shared_secret": f"shared-{uuid4().hex}"[:32],
            "livekit_url": livekit.url,
            "livekit_api_key": livekit.api_key,
            "livekit_api_secret": livekit.api_secret,
        }
    )


@asynccontextmanager
async def dev_api_for(livekit: LiveKitServer) -> AsyncIterator[DevApiClient]:
    """Yield a dev API of its own for the length of a block."""
    settings = dev_api_settings(livekit)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with background() as tasks:
        tasks.create_task(serve(settings, ready=ready.set_result))
        url = await ready
        async with (
            httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=FRESH) as client,
            background() as followers,
        ):
            served = DevApiClient(settings, url, client)
            followers.create_task(served.follow())
            yield served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def deployment(
    livekit_server: LiveKitServer,
    dev_api: DevApiClient,
    third_party: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Deployment]:
    """Yield LiveKit, the dev API and the tutor; hosts are for the tests to start."""
    directory = tmp_path_factory.mktemp("deployment")
    async with warm_hosts(tutors_environ(third_party)) as warm:
        yield Deployment(livekit_server, dev_api, third_party, directory, warm=warm)


@pytest.fixture(autouse=True)
def own_lines(request: pytest.FixtureRequest) -> None:
    """Hide the lines of shared hosts that are older than the test."""
    if "deployment" in request.fixturenames:
        for log in request.getfixturevalue("deployment").logs:
            log.since = len(log.every)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def host(deployment: Deployment) -> AsyncIterator[HostProcess]:
    """Yield the host that most tests share: an automatic tutor and a specialist."""
    tutors = {
        "probe": {"worker_type": "automatic", "max_concurrent_jobs": 20},
        **explicit("probe-specialist"),
    }
    async with deployment.host(deployment.directory / "shared", tutors) as process:
        await deployment.open_room(EMPTY_ROOM)
        yield process
        await deployment.close_room(EMPTY_ROOM)

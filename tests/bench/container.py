"""Lessons in the container that config/kubernetes runs, and its stop during a lesson.

`python -m tests.bench.container ROOT`, as root, prints figures as JSON, and ends with 0 if all is
well. ROOT is the image's file system; `bash tests/bench/image.sh` builds it without a registry.

The container has PID and mount namespaces of its own, the image as a read-only root, user 10001
without capabilities, no shell, the ConfigMap's variables, and secrets and certificate in files.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
from tests.certificates import issue
from tests.unit.kubernetes.manifests import build, find

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.parts import Parts, local_parts
from loqua_host.dev.ports import free_port
from loqua_host.settings.certificates import trusting_context
from loqua_host.settings.host import TlsSettings
from loqua_host.system.tasks import background

PATIENCE = 150.0
OPS_PORT = free_port()
OPS = f"https://127.0.0.1:{OPS_PORT}"
USER = "10001"

# What a container runtime does. /dev/null in place of the shells shows that none is needed.
ENTER = """
set -e
root=$1 files=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"; cd "$root"
mount -t proc proc proc
mount -t tmpfs tmpfs run; mkdir -p run/secrets/loqua run/tls
mount --bind "$files/secrets" run/secrets/loqua
mount --bind "$files/tls" run/tls
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o uid=10001,mode=0700 tmpfs app/var
mount --rbind /dev dev
mount --bind /etc/resolv.conf etc/resolv.conf
mount --bind /dev/null usr/bin/dash; mount --bind /dev/null usr/bin/bash
mount -o remount,bind,ro "$root"
exec chroot . /usr/bin/env -C /app -i "$@"
"""

PRIVILEGES = ("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--clear-groups")


@dataclass(slots=True)
class ContainerLog:
    """The lines of the host's log, as they come."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read until the host ends."""
        async for raw in stream:
            text = raw.decode(errors="replace")
            sys.stderr.write(text)
            self.lines.append(json.loads(text) if text.startswith("{") else {"event": text.strip()})
            self.changed.set()

    async def until(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for an event with these fields."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines:
                    if line["event"] == event and fields.items() <= line.items():
                        return line
                self.changed.clear()
                await self.changed.wait()


@dataclass(frozen=True, slots=True)
class Container:
    """A host that runs in the container.

    Attributes:
        pid: Its process, as the machine sees it.
        ops: A client of its ops address, with the token.
    """

    process: asyncio.subprocess.Process
    pid: int
    log: ContainerLog
    ops: httpx.AsyncClient

    async def execute(self, environ: Mapping[str, str], *command: str) -> str:
        """Run a command in the container, as preStop does; return what it prints."""
        enter = ("nsenter", f"--target={self.pid}", "--mount", "--pid", "--root")
        given = [f"{name}={value}" for name, value in environ.items()]
        process = await asyncio.create_subprocess_exec(
            *enter, "/usr/bin/env", "-C", "/app", "-i", *given, *_as_user(*command), stdout=PIPE
        )
        printed, _ = await process.communicate()
        return printed.decode().strip()

    async def until_ready(self) -> float:
        """Return the seconds until it is ready."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while await self._ready() != 200:  # noqa: ASYNC110  # as a kubelet does
                await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def _ready(self) -> int:
        assert self.process.returncode is None, "the host has ended"
        try:
            return (await self.ops.get("/health/ready")).status_code
        except httpx.TransportError:
            return 0


def variables(parts: Parts) -> dict[str, str]:
    """Return the ConfigMap's variables, with the addresses of the local parts."""
    data: dict[str, str] = dict(find(build("conversation"), "ConfigMap")["data"])
    local = {"base_url": f"{parts.speech_url}/v1"}
    hearing = local | {"model": "whisper-base", "language": "{language}"}
    voice = local | {"model": "pico", "voice": "{language}", "response_format": "pcm"}
    return data | {
        "PATH": "/app/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "AGENT_ID": parts.environ["AGENT_ID"],
        "API_BASE_URL": parts.api_url,
        "LIVEKIT_URL": parts.livekit.url,
        "LOQUA_ENGINES__STT__OPTIONS": json.dumps(hearing),
        "LOQUA_ENGINES__TTS__OPTIONS": json.dumps(voice),
        "LOQUA_OPS__PORT": str(OPS_PORT),
        "LOQUA_LESSONS__TICK_EVERY": "5",
        "LOQUA_LESSONS__RECONNECT_TIMEOUT": "2",
    }


def write_files(directory: Path, parts: Parts, token: str) -> None:
    """Write secrets and certificate, as Kubernetes mounts them."""
    values = {
        name: parts.environ[name]
        for name in ("AGENT_JWT_TOKEN", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    }
    values["PROD_AGENT_SECRET"] = parts.environ["DEV_AGENT_SECRET"]
    values |= {"LEDGER_KEY": secrets.token_hex(32), "OPS_TOKEN": token, "OPENAI_API_KEY": "-"}
    for folder in ("secrets", "tls"):
        (directory / folder).mkdir()
    for name, value in values.items():
        (directory / "secrets" / name).write_text(value)
    issued = issue(directory / "tls")
    Path(issued["certificate"]).rename(directory / "tls/tls.crt")
    Path(issued["key"]).rename(directory / "tls/tls.key")
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o444)
    directory.chmod(0o755)


@asynccontextmanager
async def run_container(
    root: Path, files: Path, environ: Mapping[str, str], token: str
) -> AsyncIterator[Container]:
    """Run the host in the container for the length of a block."""
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL")
    given = [f"{name}={value}" for name, value in environ.items()]
    host = _as_user("loqua-host", "run", "--config", "/config")
    command = [*namespaces, "sh", "-c", ENTER, "sh", str(root), str(files), *given, *host]
    tls = TlsSettings(certificate=files / "tls/tls.crt", key=files / "tls/tls.key")
    trusted = trusting_context(tls)
    headers = {"Authorization": f"Bearer {token}"}
    log = ContainerLog()
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command), stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr is not None
    async with (
        background() as tasks,
        httpx.AsyncClient(base_url=OPS, headers=headers, verify=trusted, timeout=PATIENCE) as ops,
    ):
        tasks.create_task(log.read(process.stderr))
        pid = await _child(process.pid)
        try:
            yield Container(process, pid, log, ops)
        finally:
            if process.returncode is None:
                os.kill(pid, signal.SIGKILL)  # with it, all that its namespace has
            await process.wait()


def _as_user(*command: str) -> Sequence[str]:
    return ("setpriv", f"--reuid={USER}", f"--regid={USER}", *PRIVILEGES, *command)


async def _child(pid: int) -> int:
    """Return the process that is the first in the namespace."""
    parent = psutil.Process(pid)
    async with asyncio.timeout(PATIENCE):
        while not (found := parent.children()):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
    return found[0].pid


async def learn(parts: Parts, user: str, lines: Sequence[str], agent: str | None) -> dict[str, Any]:
    """Take part in a lesson; return what the learner heard."""
    body = {"user_id": user, "room_name": f"room-{user}"}
    body |= {"agent_name": agent} if agent else {}
    async with httpx.AsyncClient(base_url=parts.api_url) as client:
        (await client.put(f"/dev/learners/{user}", json={})).raise_for_status()
        joined = (await client.post("/api/v1/rooms/join", json=body)).raise_for_status().json()

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{parts.speech_url}/v1", line.text, line.language)

    script = Script(tuple(Line(text, "es") for text in lines))
    learner = SyntheticLearner(joined["url"], joined["token"], speak, script, answers=agent)
    heard = await learner.run()
    replies = [round(it, 2) for it in heard.reply_latencies if it is not None]
    greeting = heard.join_to_greeting
    return {"greeted_after": greeting and round(greeting, 2), "replies_after": replies}


async def records(parts: Parts, user: str) -> int:
    """Return how many records of a learner the API has."""
    async with httpx.AsyncClient(base_url=parts.api_url) as client:
        sessions = (await client.get("/dev/records")).raise_for_status().json()["sessions"]
    return sum(one["user_id"] == user for one in sessions)


async def measure(root: Path) -> dict[str, Any]:
    """Return what happened in the container."""
    token = secrets.token_hex(32)
    say = sys.stderr.write
    with TemporaryDirectory() as directory:
        async with local_parts(lambda line: say(f"{line}\n") and None) as parts:
            files = Path(directory)
            write_files(files, parts, token)
            environ = variables(parts)
            async with run_container(root, files, environ, token) as container:
                return await _lessons(container, parts, environ)


async def _lessons(
    container: Container, parts: Parts, environ: Mapping[str, str]
) -> dict[str, Any]:
    ready = await container.until_ready()
    probes = {
        path: (await container.ops.get(path, headers={"Authorization": ""})).status_code
        for path in ("/health/live", "/health/ready", "/metrics")
    }
    lines = ("Hola buenos días", "Me llamo Ana")
    taught, specialist = await asyncio.gather(
        learn(parts, "ana", lines, None),
        learn(parts, "ben", ("Yo es estudiante", "Yo soy estudiante"), "grammar-specialist"),
    )
    staying = asyncio.create_task(learn(parts, "eva", lines, None))
    await container.log.until("lesson.opened", room="room-eva")
    drain = await container.execute(
        environ, "loqua-host", "drain", "--config", "/config", "--wait", "1"
    )
    begun = time.monotonic()
    os.kill(container.pid, signal.SIGTERM)
    draining = (await container.ops.get("/health/ready", headers={"Authorization": ""})).status_code
    stayed = await staying
    async with asyncio.timeout(PATIENCE):
        code = await container.process.wait()
    found = {user: await records(parts, user) for user in ("ana", "ben", "eva")}
    confined = not any(line["event"] == "jobs.not_confined" for line in container.log.lines)
    return {
        "seconds_until_ready": round(ready, 2),
        "probes": probes,
        "lesson": taught,
        "specialist": specialist,
        "pre_stop": drain,
        "lesson_during_sigterm": stayed,
        "ready_while_draining": draining,
        "seconds_from_sigterm_to_end": round(time.monotonic() - begun, 2),
        "exit_code": code,
        "records": found,
        "landlock": confined,
        "good": code == 0
        and set(found.values()) == {1}
        and drain.startswith("draining")
        and draining == 503,
    }


if __name__ == "__main__":
    figures = asyncio.run(measure(Path(sys.argv[1]).resolve()))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if figures["good"] else 1)

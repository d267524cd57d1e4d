"""Local services for a host: LiveKit, a Loqua API and speech."""

import asyncio
import json
import os
import secrets
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import yaml

from loqua_host.errors import LoquaError
from loqua_host.settings.templates import TEMPLATES
from loqua_host.system.tasks import background

from .api.server import serve
from .api.settings import DevApiSettings
from .child import dying_with_parent
from .livekit import LiveKitServer, run_livekit

__all__ = [
    "RECONNECT_TIMEOUT",
    "Parts",
    "inherited_environ",
    "local_parts",
    "run_child",
    "run_speech",
    "write_config",
]

INHERITED = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR", "VIRTUAL_ENV")

Say = Callable[[str], None]

STOP_SECONDS = 30.0

RECONNECT_TIMEOUT = 2.0
"""Seconds that a lesson waits for a synthetic learner who left, and who never comes back."""

DRAIN_TIMEOUT = 2.0
"""Seconds for which lessons continue after Ctrl-C."""

MAX_LESSONS = 10
"""A few lessons, so that a developer's machine stays usable."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Local parts that run, and the environment of a host that uses them.

    Attributes:
        environ: The guide's environment variables, secrets among them.
    """

    livekit: LiveKitServer
    api_url: str
    speech_url: str
    environ: dict[str, str] = field(repr=False)


@asynccontextmanager
async def local_parts(say: Say, speech_url: str | None = None) -> AsyncIterator[Parts]:
    """Start the parts side by side and give them once all answer.

    Args:
        say: Takes a line about whatever takes longer than a second.
        speech_url: A speech server that runs already.

    Raises:
        LiveKitUnavailableError: No LiveKit server can be had; the message says what to do.
    """
    shared_secret = secrets.token_hex(16)
    speech = nullcontext(speech_url) if speech_url else run_speech(say)
    async with run_livekit(say=say) as livekit, speech as speech_at, background() as tasks:
        settings = DevApiSettings(
            shared_secret=shared_secret,
            livekit_url=livekit.url,
            livekit_api_key=livekit.api_key,
            livekit_api_secret=livekit.api_secret,
        )
        answering = asyncio.get_running_loop().create_future()
        tasks.create_task(serve(settings, ready=answering.set_result))
        api_url = await answering
        say(f"the dev API answers; what arrives shows at {api_url}")
        yield Parts(
            livekit=livekit,
            api_url=api_url,
            speech_url=speech_at,
            environ={
                "LOQUA_ENVIRONMENT": "development",
                "AGENT_ID": "loqua-host-dev",
                "AGENT_JWT_TOKEN": settings.mint_agent_jwt("loqua-host-dev"),
                "API_BASE_URL": api_url,
                "DEV_AGENT_SECRET": shared_secret,
                "LIVEKIT_URL": livekit.url,
                "LIVEKIT_API_KEY": livekit.api_key,
                "LIVEKIT_API_SECRET": livekit.api_secret,
            },
        )


def write_config(
    source: Path,
    target: Path,
    speech_url: str,
    *,
    tick_every: float,
    reconnect_timeout: float = RECONNECT_TIMEOUT,
) -> None:
    """Copy config/ and lay local speech and addresses over it; secrets stay out of it.

    Args:
        source: The config/ to copy; its own .env is left behind.
        target: Where to; the ledger goes beside it.
        speech_url: The speech server's address.
        tick_every: Seconds between progress ticks.
        reconnect_timeout: Seconds that a lesson waits for a learner who left.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".env"))
    overlay = target / "environments" / "development.yaml"
    written = yaml.safe_load(overlay.read_text()) or {} if overlay.exists() else {}
    written["engines"] = {**(written.get("engines") or {}), **_local_speech(speech_url)}
    quick = {
        "tick_every": tick_every,
        "reconnect_timeout": reconnect_timeout,
        "drain_timeout": DRAIN_TIMEOUT,
        "max_lessons": MAX_LESSONS,
    }
    written["lessons"] = {**(written.get("lessons") or {}), **quick}
    written["ledger"] = {"path": str(target.parent / "ledger.db")}
    written["ops"] = {"port": 0}
    _use_local_scorer(target / "tutors", speech_url)
    overlay.parent.mkdir(exist_ok=True)
    overlay.write_text(yaml.safe_dump(written, allow_unicode=True))


def _local_speech(url: str) -> dict[str, Any]:
    """Return the engines that the packaged config/ has for development, at this address."""
    packaged = (TEMPLATES / "environments" / "development.yaml").read_text("utf-8")
    engines: dict[str, Any] = yaml.safe_load(packaged)["engines"]
    for engine in engines.values():
        engine["options"]["base_url"] = f"{url}/v1"
    return engines


def _use_local_scorer(tutors: Path, url: str) -> None:
    """Set this address in the tutors that score pronunciation."""
    for file in tutors.glob("*.yaml"):
        tutor = yaml.safe_load(file.read_text("utf-8")) or {}
        if "scorer" in (tutor.get("settings") or {}):
            tutor["settings"]["scorer"] = f"{url}/v1"
            file.write_text(yaml.safe_dump(tutor, allow_unicode=True), "utf-8")


def inherited_environ() -> dict[str, str]:
    """Return what a host's process gets of this one's environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


@asynccontextmanager
async def run_child(
    *command: str, stdout: IO[bytes] | int, stderr: IO[bytes] | int, environ: dict[str, str]
) -> AsyncIterator[Process]:
    """Run a command during the block; stop it at the end and wait for it."""
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command),
        stdout=stdout,
        stderr=stderr,
        env=environ,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        await asyncio.shield(_stop(process))


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def run_speech(say: Say) -> AsyncIterator[str]:
    """Yield the address of a speech server."""
    say("loading the speech models")
    command = (sys.executable, "-m", "loqua_speech", "--port", "0")
    with TemporaryFile() as log:
        async with run_child(*command, stdout=PIPE, stderr=log, environ={**os.environ}) as process:
            line = await process.stdout.readline() if process.stdout else b""
            if not line:
                log.seek(0)
                complaint = log.read()[-500:].decode(errors="replace")
                raise LoquaError(f"the speech server did not start: {complaint}")
            yield json.loads(line)["url"]

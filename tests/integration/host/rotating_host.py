"""Rotations of each kind of secret under running lessons, and the number of failures."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from fastapi import FastAPI
from pydantic import SecretStr
from tests.integration.host.conftest import Deployment, HostProcess
from tests.integration.host.livekit_proxy import LiveKitProxy, open_livekit_proxy
from tests.integration.host.test_vault_rotation import served

from loqua_host.dev.livekit import LiveKitServer, run_livekit

__all__ = ["Rotating", "addresses", "livekit_with_a_spare_key", "mount", "rotating"]

AGENT = "rotated"
TUTORS = {
    "probe-trusted": {
        "worker_type": "explicit",
        "agent_name": AGENT,
        "max_concurrent_jobs": 40,
        "secrets": ["PROBE_KEY"],
    }
}
CALM = {"tick_every": 2, "reconnect_timeout": 3, "health_every": 30}
FAILURES = (
    "token.refresh_failed",
    "lesson.refused",
    "lesson.interrupted",
    "lesson.given_up",
    "lesson.without_api",
    "link.refused",
    "reconciler.rooms_unreachable",
    "delivery.failed",
    "worker.failed",
    "ledger.failed",
    "ledger.unreadable",
)


@asynccontextmanager
async def livekit_with_a_spare_key(port: int) -> AsyncIterator[LiveKitServer]:
    """Run a LiveKit server that two keys open, as one is while its key is being rotated."""
    spare = {f"API{secrets.token_hex(8)}": secrets.token_urlsafe(40)}
    wanted = LiveKitServer(f"ws://127.0.0.1:{port}", "APIold", secrets.token_urlsafe(40), spare)
    async with run_livekit(again=wanted, environ=_without_livekit()) as livekit:
        yield livekit


def _without_livekit() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}


@dataclass(slots=True)
class Rotating:
    """A host with running lessons, and all secrets that can be rotated under them."""

    deployment: Deployment
    host: HostProcess
    proxy: LiveKitProxy
    app: FastAPI
    directory: Path
    learners: list[Any] = field(default_factory=list)
    visits: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def enter(self) -> dict[str, Any]:
        """Enter one more learner; return the line with which their lesson opened."""
        learner = await self.visits.enter_async_context(self.deployment.visit(agent_name=AGENT))
        self.learners.append(learner)
        return await self.host.log.until("probe.ready", room=learner.name)

    async def shared_secret(self) -> None:
        """Make the API encrypt tokens with another secret."""
        new = f"shared-{uuid4().hex}"[:32]
        put(self.directory, DEV_AGENT_SECRET=new)
        self._change_api(shared_secret=SecretStr(new))
        await self._all_refreshed()

    async def agent_jwt(self) -> None:
        """Make the API expect another agent JWT."""
        api = self.app.state.api.settings
        new = api.model_copy(update={"agent_signing_secret": SecretStr(secrets.token_hex(32))})
        put(self.directory, AGENT_JWT_TOKEN=new.mint_agent_jwt("loqua-test"))
        self.app.state.api = replace(self.app.state.api, settings=new)
        await self._all_refreshed()

    async def livekit_key(self) -> None:
        """Write LiveKit's new key in two halves, have the host adopt it, and workers come anew."""
        [(key, secret)] = self.deployment.livekit.spare_keys.items()
        put(self.directory, LIVEKIT_API_KEY=key)
        await self.host.log.until("livekit.key_refused")
        put(self.directory, LIVEKIT_API_SECRET=secret)
        await self.host.log.until("livekit.key_changed")
        registered = len(self.host.log.find("worker.registered"))
        self.proxy.cut_workers()
        await self.host.log.until("worker.registered", count=registered + 1)
        assert self.proxy.worker_keys[-1] == key, self.proxy.worker_keys

    async def tutors_secret(self) -> None:
        """Change the tutor's own secret; the next lesson has the new value."""
        new = uuid4().hex
        put(self.directory, PROBE_KEY=new)
        await self.host.log.until("secret.read", secret="PROBE_KEY", changed=True)
        granted = (await self.enter())["granted"]
        assert granted == {"PROBE_KEY": sha256(new.encode()).hexdigest()}

    async def ops_token(self) -> None:
        """Open the ops address with another token; the one before is good until the next."""
        old = (self.directory / "OPS_TOKEN").read_text()
        put(self.directory, OPS_TOKEN=uuid4().hex)
        await self.host.log.until("secret.read", secret="OPS_TOKEN", changed=True)
        async with self.host.asking() as client:
            tokens = ((self.directory / "OPS_TOKEN").read_text(), old, "guessed")
            answers = [
                (await client.get("/metrics", headers={"Authorization": f"Bearer {token}"}))
                for token in tokens
            ]
        assert [answer.status_code for answer in answers] == [200, 200, 401]

    async def ledger_key(self) -> None:
        """Rotate the ledger's key, and discard the previous one."""
        old = (self.directory / "LEDGER_KEY").read_text()
        put(self.directory, LEDGER_KEY_PREVIOUS=old, LEDGER_KEY=secrets.token_hex(32))
        await self.host.log.until("ledger.reencrypted")
        (self.directory / "LEDGER_KEY_PREVIOUS").unlink()

    async def leave(self) -> dict[str, Any]:
        """Remove all learners; return what failed, and what the API received."""
        for learner in self.learners:
            await learner.leave()
        records = [await self._records(learner.user_id) for learner in self.learners]
        found = {event: len(self.host.log.find(event)) for event in FAILURES}
        return {
            "lessons": len(self.learners),
            "records": records.count(1),
            "exchanges_during": len(self.host.log.find("token.refreshed")),
            "failures": {event: count for event, count in found.items() if count},
        }

    async def _records(self, user_id: str) -> int:
        await self.deployment.api.until("sessions", user_id)
        return len(self.deployment.api.seen["sessions", user_id])

    def _change_api(self, **changes: object) -> None:
        settings = self.app.state.api.settings.model_copy(update=changes)
        self.app.state.api = replace(self.app.state.api, settings=settings)

    async def _all_refreshed(self) -> None:
        """Wait until each learner's token has been exchanged once more."""
        log, users = self.host.log, [learner.user_id for learner in self.learners]
        counts = {it: len(log.find("token.refreshed", user_id=it)) + 1 for it in users}
        for user_id, count in counts.items():
            await log.until("token.refreshed", user_id=user_id, count=count)


def put(directory: Path, **values: str) -> None:
    """Write secrets as an orchestrator mounts them: each whole or not at all."""
    for name, value in values.items():
        new = directory / f".{name}"
        new.write_text(value)
        new.replace(directory / name)


@asynccontextmanager
async def rotating(
    livekit: LiveKitServer, plugins: Path, directory: Path, lessons: int, token_seconds: int
) -> AsyncIterator[Rotating]:
    """Yield a host with so many running lessons, whose secrets are in files.

    Learners' tokens live so many seconds, and are exchanged anew at half of that.
    """
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(open_livekit_proxy(livekit.url))
        behind = replace(livekit, url=proxy.url)
        deployment = Deployment(behind, None, plugins, directory)  # type: ignore[arg-type]  # served gives it
        home, app = await stack.enter_async_context(served(deployment, token_seconds))
        mounted = mount(directory, home)
        environ = {**dict.fromkeys(home.environ(), ""), **addresses(home)}
        process = await stack.enter_async_context(
            home.host(directory / "host", TUTORS, environ=environ, lessons=CALM)
        )
        rotating = Rotating(home, process, proxy, app, mounted)
        await stack.enter_async_context(rotating.visits)
        for _ in range(lessons):
            await rotating.enter()
        for learner in rotating.learners:
            await process.log.until("progress.made", user_id=learner.user_id)
        yield rotating


def mount(directory: Path, deployment: Deployment) -> Path:
    """Put all secrets into files, and have the host look for them there every second."""
    mounted = directory / "secrets"
    mounted.mkdir()
    environ = deployment.environ()
    names = ("AGENT_JWT_TOKEN", "DEV_AGENT_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    put(mounted, **{name: environ[name] for name in names})
    put(mounted, PROBE_KEY=uuid4().hex, OPS_TOKEN=uuid4().hex, LEDGER_KEY=secrets.token_hex(32))
    overlay = directory / "host" / "config" / "environments" / "development.yaml"
    overlay.parent.mkdir(parents=True)
    place = {"from": "files", "interval": 1, "files": {"directory": str(mounted)}}
    overlay.write_text(yaml.safe_dump({"secrets": place}))
    return mounted


def addresses(deployment: Deployment) -> dict[str, str]:
    """Return what a host has in its environment whose secrets are in files."""
    environ = deployment.environ()
    return {name: environ[name] for name in ("AGENT_ID", "API_BASE_URL", "LIVEKIT_URL")}

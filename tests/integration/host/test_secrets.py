"""A tutor that searches for secrets: it finds only its own room's token."""

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.host.conftest import (
    START_PATIENCE,
    Deployment,
    HostProcess,
    explicit,
    new_room,
)
from tests.integration.host.rotating_host import addresses, mount
from tests.integration.host.test_tracing import collector

from loqua_host.system.sandbox import is_possible

pytestmark = pytest.mark.asyncio(loop_scope="session")

JWT = re.compile(rb"eyJ[\w-]{8,}\.(eyJ[\w-]{8,})\.[\w-]{8,}")

# Drops every capability (prctl(2), PR_CAPBSET_DROP is 24) and becomes the command: to the
# kernel, a root without capabilities is a user like any other where it reads /proc.
UNPRIVILEGED = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
for capability in range(64):
    libc.prctl(24, capability, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

IS_ROOT = os.geteuid() == 0
AS_ANY_USER = (sys.executable, "-I", "-S", "-c", UNPRIVILEGED) if IS_ROOT else ()
# Root may read any memory, so there the host's own is left out: production hosts are not root.
USERS = [pytest.param(AS_ANY_USER, True, id="as-any-user")]
USERS += [pytest.param((), False, id="as-root")] if IS_ROOT else []

MARKED = {
    "LEDGER_KEY": f"ledger-{uuid4().hex}",
    "OPS_TOKEN": f"ops-{uuid4().hex}",
    "OTEL_EXPORTER_OTLP_HEADERS": f"x-key=collector-{uuid4().hex}",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
}
SECRETS = (
    "AGENT_JWT_TOKEN",
    "DEV_AGENT_SECRET",
    "LIVEKIT_API_SECRET",
    "LEDGER_KEY",
    "OPS_TOKEN",
    "OTEL_EXPORTER_OTLP_HEADERS",
)
OPS = ("/", "/ops.js", "/status", "/metrics", "/health", "/health/live", "/health/ready")

PATIENT = {"limits": {"create_agent": 60}}


@pytest.mark.parametrize(("wrapper", "memory"), USERS)
async def test_a_tutor_that_searches_for_secrets_finds_none(
    deployment: Deployment, tmp_path: Path, wrapper: tuple[str, ...], memory: bool
) -> None:
    """Nor do ledger, log, ops address and traces, in a lesson and after it."""
    name, room = f"searcher-{len(wrapper)}", new_room()
    async with (
        collector() as collecting,
        deployment.host(
            tmp_path,
            explicit(name),
            wrapper=wrapper,
            environ=MARKED | {"OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url},
            lessons=PATIENT,
        ) as host,
    ):
        search = {"host": host.pid, "memory": memory}
        host.script(room, tutor="probe-specialist", search=search, ends_at=3)
        async with deployment.visit(room, agent_name=name) as learner:
            await host.log.until("progress.made", patience=START_PATIENCE, user_id=learner.user_id)
            assert_no_secret(deployment, written(host), room)
            assert_no_secret(deployment, await shown(host), room)
            assert await deployment.api.arrivals("exchanges", learner.user_id)
        await deployment.api.until("sessions", learner.user_id)
        await collecting.until("delivery record")
        assert_no_secret(deployment, written(host), room)
        assert_no_secret(deployment, await shown(host), room)
        assert_no_secret(deployment, repr(collecting.spans).encode(), room)
        found = (host.scripts / f"{room}.found").read_bytes()
        denied = (host.scripts / f"{room}.denied").read_text().split()
    assert f"== {host.pid}/cmdline".encode() in found
    assert room.encode() in found
    assert_no_secret(deployment, found, room)
    assert tokens(found), "the search does not even find the room's own token"
    if memory:
        out_of_reach = {f"{host.pid}/{name}" for name in ("environ", "maps", "fdinfo", "mem")}
        assert out_of_reach <= set(denied)


async def test_a_tutor_reads_no_mounted_secret(deployment: Deployment, tmp_path: Path) -> None:
    """Though the files are its own user's, and the host reads them while the tutor looks."""
    name, room = "mounted-searcher", new_room()
    mounted = mount(tmp_path, deployment)
    environ = {**dict.fromkeys(deployment.environ(), ""), **addresses(deployment)}
    files = sorted(str(file) for file in mounted.iterdir())
    async with deployment.host(
        tmp_path / "host", explicit(name), wrapper=(), environ=environ, lessons=PATIENT
    ) as host:
        search = {"host": host.pid, "memory": False, "files": files}
        host.script(room, tutor="probe-specialist", search=search)
        async with deployment.visit(room, agent_name=name):
            await host.log.until("probe.searched", patience=START_PATIENCE, room=room)
        confined = not host.log.find("jobs.not_confined")
    denied = (host.scripts / f"{room}.denied").read_text().split("\n")
    assert confined is is_possible()
    assert set(files) <= set(denied) or not confined


def assert_no_secret(deployment: Deployment, text: bytes, room: str) -> None:
    """Check that no secret of the host and no user's token is in a text."""
    environ = deployment.environ() | MARKED
    # Of a JWT the signature, of a header the value.
    secrets = {name: re.split("[.=]", environ[name])[-1] for name in SECRETS}
    assert [name for name, value in secrets.items() if value.encode() in text] == []
    assert [claims for claims in tokens(text) if claims.get("video", {}).get("room") != room] == []


def tokens(text: bytes) -> list[dict[str, Any]]:
    """Return the claims of everything in a text that is a JWT."""
    return [claims for encoded in set(JWT.findall(text)) if (claims := _claims(encoded))]


def _claims(encoded: bytes) -> dict[str, Any] | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


async def shown(host: HostProcess) -> bytes:
    """Return all that the ops address shows."""
    async with host.asking(MARKED["OPS_TOKEN"]) as client:
        answers = [await client.get(path) for path in OPS]
    assert {answer.status_code for answer in answers} <= {200, 503}
    return b"\n".join(answer.content + str(answer.headers).encode() for answer in answers)


def written(host: HostProcess) -> bytes:
    """Return all that a host has written: ledger, log; and file names."""
    return b"\n".join([*_files(host.directory), *(line.encode() for line in host.log.raw)])


def _files(directory: Path) -> Iterator[bytes]:
    for path in directory.rglob("*"):
        yield os.fsencode(path)
        if path.is_file() and path.parent.name != "scripts":
            with suppress(FileNotFoundError):  # the host has just removed it
                yield path.read_bytes()

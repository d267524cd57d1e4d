"""`loqua-host check --live` beside a host: no findings when all is well, and named faults."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from livekit.api import AccessToken, VideoGrants

from loqua_host.core.secrets import Sealed
from loqua_host.dev.learner import joined
from loqua_host.dev.livekit import run_livekit
from loqua_host.diagnosis import present
from loqua_host.diagnosis.api import examine_api
from loqua_host.diagnosis.finding import CheckState, Finding
from loqua_host.diagnosis.livekit import examine_livekit, wait_for_presence
from loqua_host.diagnosis.worker import register, take_job
from loqua_host.settings.load import draft
from loqua_host.settings.secrets import LiveKitKey, read_secrets
from loqua_host.system.tasks import background
from loqua_host.workers.worker import LiveKitAccess

from .conftest import KEPT, Deployment, explicit, new_room, write_config

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEARNER = "user_kept_for_tests"


def access(deployment: Deployment) -> LiveKitAccess:
    """Return the way to the deployment's LiveKit."""
    return LiveKitAccess(
        deployment.livekit.url, key(deployment.livekit.api_key, deployment.livekit.api_secret)
    )


def key(name: str, secret: str) -> LiveKitKey:
    """Return what opens a LiveKit server."""
    return LiveKitKey(Sealed(name), Sealed(secret))


def failures(findings: list[Finding]) -> dict[str, str]:
    """Return what failed, by name."""
    return {
        one.name: one.verdict.reason for one in findings if one.verdict.state is CheckState.FAILED
    }


async def tried_api(deployment: Deployment, directory: Path, learner: str | None) -> list[Finding]:
    """Try the deployment's API as a host of that directory's configuration would."""
    config = write_config(directory, explicit("probe-checked"), {})
    settings = draft(config, deployment.environ()).settings
    assert settings is not None
    (await deployment.api.client.put(f"/dev/learners/{LEARNER}", json={})).raise_for_status()
    return await examine_api(settings, read_secrets(config, deployment.environ()).cache, learner)


async def test_beside_a_host_that_runs_all_is_well_and_no_tutor_is_called(
    deployment: Deployment, tmp_path: Path
) -> None:
    """An operator's command prints neither secrets nor tokens."""
    tutors = explicit("probe-beside") | {
        "probe": {"worker_type": "automatic", "max_concurrent_jobs": 1}
    }
    (await deployment.api.client.put(f"/dev/learners/{LEARNER}", json={})).raise_for_status()
    async with deployment.host(tmp_path, tutors) as host:
        port = host.ops_port
        file = tmp_path / "config/host.yaml"
        written = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump(written | {"ops": {"port": port}}))
        status, printed = await run_check(deployment, file.parent, "--learner", LEARNER)
        called = host.log.find("job.accepted") + host.log.find("job.refused")
    failed = checks(printed, "failed")
    assert failed <= {"disk"}, printed  # the disk is the machine's own, and may be full
    assert status == len(failed)
    assert called == []
    assert checks(printed, "not tried") == {"learners in rooms", "agent names"}
    for secret in deployment.environ().values():
        assert (
            secret in {deployment.livekit.url, deployment.api.url, "loqua-test"}
            or secret not in printed
        )


def checks(printed: str, state: str) -> set[str]:
    """Return the names of the checks that were printed in one state."""
    return {line.split("  ")[0] for line in printed.splitlines() if f"  {state}  " in line}


async def run_check(deployment: Deployment, config: Path, *options: str) -> tuple[int | None, str]:
    """Run the command with the deployment's variables; return its status and its output."""
    paths = os.pathsep.join([str(deployment.plugins), os.environ.get("PYTHONPATH", "")])
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loqua_host", "check", "--live", "--config", str(config)),
        *options,
        stdout=PIPE,
        stderr=PIPE,
        env=kept | {"PYTHONPATH": paths} | deployment.environ(),
    )
    out, err = await process.communicate()
    return process.returncode, out.decode() + err.decode()


async def test_without_a_learner_the_agent_s_jwt_is_tried_all_the_same(
    deployment: Deployment, tmp_path: Path
) -> None:
    """An API that says it does not know nobody has taken the agent's word."""
    findings = {one.name: one.verdict for one in await tried_api(deployment, tmp_path, None)}
    assert findings["API: agent authentication"].state is CheckState.OK
    assert findings["API: token decryption"].state is CheckState.UNTRIED
    assert "--learner" in findings["API: token decryption"].reason
    refused = {"kind": "error", "status": 401, "code": "INVALID_TOKEN"}
    async with deployment.api.misbehaving(refused):
        failed = failures(await tried_api(deployment, tmp_path, None))
    assert list(failed) == ["API: agent authentication"]


@pytest.mark.parametrize(
    ("fault", "name", "said"),
    [
        ({"kind": "wrong_ciphertext"}, "token decryption", "Token decryption failed: "),
        (
            {"kind": "error", "status": 401, "code": "INVALID_TOKEN", "endpoint": "user-token"},
            "agent authentication",
            "Agent authentication failed: ",
        ),
        ({"kind": "rate_limited"}, "rate limit", "API rate limiting errors: "),
        (
            {"kind": "error", "status": 400, "code": "INVALID_FIELD", "endpoint": "sessions"},
            "session record",
            "Session data not persisting: ",
        ),
        ({"kind": "fewer_permissions"}, "permissions", "health: the agent loqua-test lacks "),
        ({"kind": "clock_skew", "seconds": 120}, "clock", "this machine's clock is 1"),
        ({"kind": "outage"}, "answer", "user-token: "),
        ({"kind": "outage", "answer": "503"}, "answer", "user-token: 503"),
        ({"kind": "garbage_body"}, "answer", "user-token: answered what the guide does not"),
        ({"kind": "error", "endpoint": "context"}, "context", "the context endpoint returned no"),
    ],
    ids=lambda value: str(value.get("kind")) if isinstance(value, Mapping) else None,
)
async def test_what_is_wrong_with_the_api_has_its_name(
    deployment: Deployment, tmp_path: Path, fault: Mapping[str, object], name: str, said: str
) -> None:
    """The guide's cases 2, 3, 5 and 6 among it, in the guide's words."""
    async with deployment.api.misbehaving(fault):
        failed = failures(await tried_api(deployment, tmp_path, LEARNER))
    assert failed[f"API: {name}"].startswith(said)


async def test_a_learner_without_a_user_id_is_found_in_its_room(deployment: Deployment) -> None:
    """The guide's case 1."""
    async with deployment.enter(deployment.token(new_room(), {}), "nobody", "none") as learner:
        failed = failures(
            await present.examine_present(access(deployment), ["probe-1"], call=False)
        )
        assert learner.name in failed["learners in rooms"]
    assert "User ID not found in participant metadata" in failed["learners in rooms"]


async def test_an_agent_that_meets_no_learner_is_told_so(deployment: Deployment) -> None:
    """The guide's case 4."""
    token = AccessToken(deployment.livekit.api_key, deployment.livekit.api_secret).with_identity(
        "agent"
    )
    grants = VideoGrants(room_join=True, room=new_room())
    async with joined(deployment.livekit.url, token.with_grants(grants).to_jwt()) as room:
        verdict = await wait_for_presence(room, 0.3)
    assert verdict.reason.startswith("Empty participant list in room")


async def test_a_worker_of_somebody_else_under_a_tutor_s_name_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is called into a room of the check's own, and comes."""
    monkeypatch.setattr(present, "ANSWER_SECONDS", 60.0)  # a busy machine enters a room slowly

    async def come(stack: AsyncExitStack) -> None:
        worker = register(livekit.url, livekit.api_key, livekit.api_secret, "probe-taken")
        socket = await stack.enter_async_context(worker)
        registered.set()
        job = await take_job(socket)
        await stack.enter_async_context(joined(livekit.url, job.token))

    registered = asyncio.Event()
    # Nobody is called while there are agents in rooms, as other tests may have them.
    async with run_livekit() as livekit, AsyncExitStack() as stack, background() as tasks:
        tasks.create_task(come(stack))
        await registered.wait()
        way = LiveKitAccess(livekit.url, key(livekit.api_key, livekit.api_secret))
        failed = failures(await present.examine_present(way, ["probe-taken"], call=True))
    wanted = "a worker that is not a loqua-host also serves probe-taken"
    assert failed == {"agent names": wanted}


async def test_a_livekit_that_refuses_the_key_or_is_not_there_has_its_name(
    deployment: Deployment,
) -> None:
    """No later check is tried."""
    refused = await examine_livekit(
        replace(access(deployment), key=key(deployment.livekit.api_key, "x" * 32))
    )
    assert list(failures(refused)) == ["LiveKit: rooms API"]
    gone = await examine_livekit(replace(access(deployment), url="ws://127.0.0.1:1"))
    assert list(failures(gone)) == ["LiveKit: connection"]
    unknown = await examine_livekit(replace(access(deployment), url="ws://nowhere.invalid"))
    assert list(failures(unknown)) == ["LiveKit: name"]
    assert {one.verdict.state for one in unknown[1:]} == {CheckState.UNTRIED}

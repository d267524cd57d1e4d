"""The ops address of a real host, from its start to its end."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.certificates import issue
from tests.integration.host.conftest import (
    PATIENCE,
    START_PATIENCE,
    Deployment,
    HostProcess,
    explicit,
    new_room,
)

from loqua_host.dev.child import dying_with_parent

pytestmark = pytest.mark.asyncio(loop_scope="session")


CONFIG = Path(__file__).parents[3] / "config"

QUIET = {
    "Failed API attempts and retries",
    "Open circuit breakers",
    "Lessons by serving engine",
    "Hook failures, given-up lessons, refused jobs",
    "Voice latency by stage, p95",
}
"""Panels that show nothing while nothing fails; and the test's tutor has no engine and no words."""

SCRAPES = 10


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """Return the samples of the host's own figures, each summed over its labels."""
    sums: dict[str, float] = {}
    answer = (await client.get("/metrics")).raise_for_status()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def test_a_host_that_teaches_is_healthy_at_each_level(
    deployment: Deployment, host: HostProcess
) -> None:
    """And says which worker is registered and how long the API took."""
    async with deployment.visit() as learner, host.asking() as client:
        await host.log.until("lesson.opened", room=learner.name)
        assert (await client.get("/health/live")).status_code == 200
        await host.until_ready()
        health = (await client.get("/health")).json()
    found = {one["name"]: one for level in health["levels"] for one in level["findings"]}
    assert found["forkserver"]["state"] == "ok"
    assert found["worker probe"]["reason"].startswith("registered")
    assert found["user-token"]["latency"] > 0
    assert found["rooms API"]["state"] == found["ledger"]["state"] == "ok"


async def test_a_lesson_shows_in_the_figures_and_on_the_page_but_its_learner_does_not(
    deployment: Deployment, host: HostProcess
) -> None:
    """From the accepted job to the delivered record."""
    async with host.asking() as client:
        before = await figures(client)
        async with deployment.visit() as learner:
            opened = await host.log.until("lesson.opened", room=learner.name)
            status = (await client.get("/status")).text
            assert '"mode":"full"' in status
            for hidden in (learner.user_id, learner.name, opened["session_id"]):
                assert hidden not in status
        await deployment.api.until("sessions", learner.user_id)
        await host.log.until("record.delivered", user_id=learner.user_id)
        after = await figures(client)
        exposed = (await client.get("/metrics")).text
    assert learner.user_id not in exposed
    assert learner.name not in exposed
    grown = {name for name, value in after.items() if value > before.get(name, 0.0)}
    assert grown >= {
        "loqua_jobs_accepted_total",
        "loqua_lessons_opened_total",
        "loqua_lessons_ended_total",
        "loqua_lesson_ready_seconds_count",
        "loqua_lesson_engagement_seconds_count",
        "loqua_hook_seconds_count",
        "loqua_api_calls_total",
        "loqua_token_exchanges_total",
        "loqua_deliveries_total",
        "loqua_ledger_busy_seconds_total",
    }


async def test_the_guide_s_essential_log_points_are_in_the_log(
    deployment: Deployment, host: HostProcess
) -> None:
    """Under stable names, with who it was about, and without a token."""
    async with deployment.visit() as learner:
        await host.log.until("progress.made", user_id=learner.user_id)
    await host.log.until("record.delivered", user_id=learner.user_id)
    of_learner = {"user_id": learner.user_id, "agent_id": "loqua-test"}
    of_lesson = {**of_learner, "session_id": learner.session_id}
    assert "worker.registered" in {line["event"] for line in host.log.every}
    assert host.log.find("room.connected", room=learner.name)
    assert host.log.find("learner.found", room=learner.name, **of_learner)
    assert host.log.find("token.exchanged", **of_learner)
    for endpoint in ("user-token", "context", "progress", "sessions", "health"):
        assert host.log.find("api.called", endpoint=endpoint, status=200, **of_learner), endpoint
    for endpoint in ("progress", "sessions"):
        assert host.log.find("api.called", endpoint=endpoint, **of_lesson), endpoint
    for event in ("lesson.opened", "progress.made", "lesson.learner_away", "lesson.recorded"):
        assert host.log.find(event, **of_lesson), event
    refusal = {"kind": "error", "status": 403, "code": "FORBIDDEN", "endpoint": "user-token"}
    async with deployment.api.misbehaving(refusal), deployment.visit() as refused:
        error = await host.log.until("lesson.refused", room=refused.name)
    assert (error["level"], error["cause"]) == ("error", "user-token_refused")
    assert not re.search(r"eyJ[\w-]{8,}\.", "\n".join(host.log.raw))


async def test_ready_is_false_before_the_drain_begins(
    deployment: Deployment, tmp_path: Path
) -> None:
    """While the lesson under way may still end by itself."""
    tutors, lessons = explicit("probe-drained"), {"drain_timeout": 600}
    async with (
        deployment.host(tmp_path, tutors, lessons=lessons) as host,
        host.asking() as client,
    ):
        await host.until_ready()
        room = new_room()
        async with deployment.visit(room, agent_name="probe-drained"):
            await host.log.until("lesson.opened", room=room)
            host.process.send_signal(signal.SIGTERM)
            await host.log.until("host.draining")
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
        await host.ended()


async def test_an_api_that_is_down_shows_at_its_level_and_leaves_the_host_ready(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Lessons degrade, so new ones may come."""
    down = {"kind": "outage"}
    async with (
        deployment.host(tmp_path, explicit("probe-unaided")) as host,
        host.asking() as client,
    ):
        room = new_room()
        async with (
            deployment.api.misbehaving(down),
            deployment.visit(room, agent_name="probe-unaided"),
        ):
            await host.log.until("lesson.opened", room=room, mode="mock")
            await host.until_ready()
            health = (await client.get("/health")).json()
    states = {level["name"]: level["state"] for level in health["levels"]}
    assert states["api"] in {"degraded", "failed"}
    assert states["livekit"] == "ok"


async def test_a_scrape_is_quick(deployment: Deployment, host: HostProcess) -> None:
    """It runs in the loop that lessons wait for."""
    del deployment
    process = psutil.Process(host.pid)
    async with host.asking() as client:
        await client.get("/metrics")
        before = process.cpu_times()
        for _ in range(SCRAPES):
            (await client.get("/metrics")).raise_for_status()
        after = process.cpu_times()
    assert (after.user + after.system - before.user - before.system) / SCRAPES < 0.25


@asynccontextmanager
async def prometheus(
    directory: Path,
    target: str,
    rules: Path = CONFIG / "prometheus/alerts.yaml",
    reaching: Mapping[str, object] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a Prometheus that watches a host by our alerts, and give a client of it.

    Args:
        directory: For its configuration and data.
        target: The host's ops address.
        rules: The alerts.
        reaching: How it reaches that address, if not in the open.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not on PATH; Debian has it in the package prometheus")
    config = {
        # A scrape may take as long as the interval, on a busy machine more than a second.
        "global": {"scrape_interval": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "loqua-host",
                "static_configs": [{"targets": [target]}],
                **(reaching or {}),
            },
        ],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(
            program,
            f"--config.file={directory}/prometheus.yaml",
            f"--storage.tsdb.path={directory}/data",
            "--web.listen-address=127.0.0.1:0",
        ),
        stdout=DEVNULL,
        stderr=PIPE,
    )
    assert process.stderr is not None
    reading = asyncio.create_task(_address(process.stderr))
    try:
        async with asyncio.timeout(PATIENCE):
            address = await asyncio.shield(reading)
        url = f"http://{address}/api/v1"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            await _ready(client, address)
            yield client
    finally:
        reading.cancel()
        process.terminate()
        await process.communicate()


async def _address(log: asyncio.StreamReader) -> str:
    """Return the address that Prometheus listens at, from its log."""
    async for line in log:
        if found := re.search(rb'msg="Listening on" address=(\S+)', line):
            return found[1].decode()
    raise AssertionError("prometheus does not listen")


async def _ready(client: httpx.AsyncClient, address: str) -> None:
    """Wait until Prometheus, which listens, also answers."""
    async with asyncio.timeout(PATIENCE):
        while (await client.get(f"http://{address}/-/ready")).status_code != 200:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.1)


async def query(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers to a query; an error in it fails the test."""
    asked = expression.replace("$__rate_interval", "2m")
    answer = (await client.get("/query", params={"query": asked})).json()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


async def until(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """Wait until a query has an answer that is not empty, and give it."""
    async with asyncio.timeout(START_PATIENCE):
        while not (result := await query(client, expression)):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.5)
    return result


async def test_panels_are_filled_and_alerts_silent_until_there_is_cause(
    deployment: Deployment, tmp_path: Path
) -> None:
    """A real Prometheus, with our rules, watches two lessons, and then a host that is killed."""
    panels = json.loads((CONFIG / "grafana/loqua-host.json").read_text())["panels"]
    tutors = explicit("probe-watched")
    async with deployment.host(tmp_path, tutors) as host:
        port = host.ops_port
        async with prometheus(tmp_path, f"127.0.0.1:{port}") as client:
            await until(client, "loqua_ready == 1")
            for count in (1, 2):
                async with deployment.visit(agent_name="probe-watched") as learner:
                    await host.log.until("lesson.opened", room=learner.name)
                    await until(client, "loqua_lessons_live == 1")
                await deployment.api.until("sessions", learner.user_id)
                await until(client, f"sum(loqua_lessons_ended_total) == {count}")
            await fill(client, panels)
            firing = await query(client, 'ALERTS{alertstate="firing"}')
            # On a stalled machine a tutor may in truth take ten seconds to come, and the API long.
            slow = {"LearnerWaiting", "ApiSlow"}
            assert {alert["metric"]["alertname"] for alert in firing} <= slow
            host.process.kill()
            await until(client, 'ALERTS{alertname="HostDown", alertstate="pending"}')


async def fill(client: httpx.AsyncClient, panels: list[dict[str, Any]]) -> None:
    """Wait until each panel has shown something, but for those that may stay quiet."""
    empty = [panel for panel in panels if panel["title"] not in QUIET]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_PATIENCE):
            while empty := [panel for panel in empty if not await is_filled(client, panel)]:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.5)
    assert [panel["title"] for panel in empty] == []


async def is_filled(client: httpx.AsyncClient, panel: dict[str, Any]) -> bool:
    """Return whether any of a panel's queries has an answer."""
    return any([await query(client, target["expr"]) for target in panel["targets"]])


def guarded(directory: Path) -> tuple[dict[str, str], dict[str, object]]:
    """Return variables for a host with TLS and a token, and how Prometheus reaches it."""
    tls, overlay = issue(directory), directory / "config" / "environments" / "development.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(yaml.safe_dump({"ops": {"tls": tls}}))
    reaching: dict[str, object] = {
        "scheme": "https",
        "tls_config": {"ca_file": tls["certificate"]},
        "authorization": {"credentials": "a-token-of-this-test"},
    }
    return {"OPS_TOKEN": "a-token-of-this-test"}, reaching


async def test_alerts_fire_on_their_causes(deployment: Deployment, tmp_path: Path) -> None:
    """A tutor that always crashes, a record that the API will not have, a learner left waiting.

    Prometheus reaches the host as it does over a network: by TLS, with a token.
    """
    name = "probe-alarming"
    tutors = {"probe-specialist": explicit(name)["probe-specialist"] | {"max_concurrent_jobs": 1}}
    refusing = {"kind": "error", "status": 400, "code": "INVALID", "endpoint": "sessions"}
    environ, reaching = guarded(tmp_path)
    async with deployment.host(tmp_path, tutors, environ=environ) as host:
        port = (await host.log.until("ops.serving", tls=True))["port"]
        async with (
            prometheus(tmp_path, f"127.0.0.1:{port}", reaching=reaching) as client,
            deployment.api.misbehaving(refusing),
        ):
            await until(client, "loqua_lessons_given_up_total == 0")
            room = new_room()
            host.script(room, tutor="probe-specialist", killed_at=1, killed_again=True)
            async with deployment.visit(room, agent_name=name):
                await host.log.until("lesson.given_up", why="crash_loop")
            await until(client, firing("TutorCrashLoop"))
            await until(client, firing("DeadLetters"))
            async with (
                deployment.visit(agent_name=name) as taught,
                deployment.visit(agent_name=name),
            ):
                await host.log.until("lesson.opened", room=taught.name)
                await until(client, firing("LearnerWaiting"))


def firing(alert: str) -> str:
    """Return the query for an alert that fires."""
    return f'ALERTS{{alertname="{alert}", alertstate="firing"}}'

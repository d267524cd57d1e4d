"""What a real host shows of itself while it teaches, and from its start to its end."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.host.conftest import HostProcess, House, explicit, new_room

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def asking(host: HostProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the host's ops address."""
    line = await host.log.until("ops.serving")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{line['port']}") as client:
        yield client


async def figures(client: httpx.AsyncClient) -> dict[str, float]:
    """Give the samples of the host's own figures, each summed over its labels."""
    sums: dict[str, float] = {}
    answer = (await client.get("/metrics")).raise_for_status()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def test_a_host_that_teaches_is_healthy_at_each_level(
    house: House, host: HostProcess
) -> None:
    """And says which worker is registered and how long the API took."""
    async with house.visit() as learner, asking(host) as client:
        await host.log.until("lesson.opened", room=learner.name)
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        health = (await client.get("/health")).json()
    found = {one["name"]: one for level in health["levels"] for one in level["findings"]}
    assert found["worker probe"]["reason"].startswith("registered")
    assert found["user-token"]["latency"] > 0
    assert found["rooms API"]["state"] == found["ledger"]["state"] == "ok"


async def test_a_lesson_shows_in_the_figures_and_on_the_page_but_its_learner_does_not(
    house: House, host: HostProcess
) -> None:
    """From the accepted job to the delivered record."""
    async with asking(host) as client:
        before = await figures(client)
        async with house.visit() as learner:
            opened = await host.log.until("lesson.opened", room=learner.name)
            status = (await client.get("/status")).text
            assert '"mode": "full"' in status
            for hidden in (learner.user_id, learner.name, opened["session_id"]):
                assert hidden not in status
        await house.api.until("sessions", learner.user_id)
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
        "loqua_api_calls_total",
        "loqua_token_exchanges_total",
        "loqua_deliveries_total",
        "loqua_ledger_busy_seconds_total",
    }


async def test_ready_is_false_before_the_drain_begins(house: House, tmp_path: Path) -> None:
    """While the lesson under way may still end by itself."""
    tutors = explicit("probe-drained")
    async with house.host(tmp_path, tutors) as host, asking(host) as client:
        assert (await client.get("/health/ready")).status_code == 200
        room = new_room()
        async with house.visit(room, agent_name="probe-drained"):
            await host.log.until("lesson.opened", room=room)
            host.process.send_signal(signal.SIGTERM)
            await host.log.until("host.draining")
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
        await host.ended()


async def test_an_api_that_is_down_shows_at_its_level_and_leaves_the_host_ready(
    house: House, tmp_path: Path
) -> None:
    """Lessons degrade, so new ones may come."""
    down = {"kind": "outage"}
    async with house.host(tmp_path, explicit("probe-unaided")) as host, asking(host) as client:
        room = new_room()
        async with house.api.misbehaving(down), house.visit(room, agent_name="probe-unaided"):
            await host.log.until("lesson.opened", room=room, mode="mock")
            health = (await client.get("/health")).json()
            assert (await client.get("/health/ready")).status_code == 200
    states = {level["name"]: level["state"] for level in health["levels"]}
    assert states["api"] in {"degraded", "failed"}
    assert states["livekit"] == "ok"


async def test_a_scrape_is_quick(house: House, host: HostProcess) -> None:
    """It runs in the loop that lessons wait for."""
    del house
    loop = asyncio.get_running_loop()
    async with asking(host) as client:
        await client.get("/metrics")
        begun = loop.time()
        for _ in range(10):
            (await client.get("/metrics")).raise_for_status()
        assert (loop.time() - begun) / 10 < 0.25

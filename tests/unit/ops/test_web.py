"""The HTTP endpoints for operators."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import structlog
from aiohttp import encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from tests.pictures.incident import incident

from loqua_host.host_metrics import HostMetrics
from loqua_host.ops.health import assess
from loqua_host.ops.history import Hours
from loqua_host.ops.recent_errors import RecentErrors
from loqua_host.ops.snapshot import HostSnapshot, take_snapshot
from loqua_host.ops.status import HostStatus, LessonStatus, Outcome, Phase
from loqua_host.ops.web import PAGE, build_app, serve_ops
from loqua_host.records.regions import RegionState
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.regions import RegionSettings

Client = TestClient  # type: ignore[type-arg]  # generic in aiohttp's own request type
WELL = Outcome(1000.0, 0.01)
SCRIPTS = [f"/{file.name}" for file in PAGE.iterdir() if file.name.endswith(".js")]


@dataclass
class Ops:
    """A running ops address and its host's status."""

    status: HostStatus
    errors: RecentErrors
    client: Client


@pytest.fixture
async def ops() -> AsyncIterator[Ops]:
    """Serve what a host that does well shows."""
    errors, metrics = RecentErrors(lambda: 1000.0), HostMetrics()
    status = HostStatus(now=1000.0, phase=Phase.SERVING, rooms=WELL, ledger=WELL, jobs=WELL)
    served: Ops

    def look() -> HostStatus:
        return served.status

    def snapshot() -> HostSnapshot:
        status = served.status
        return take_snapshot(status, assess(status), errors.newest_first(), Hours())

    app = build_app(look, assess, snapshot, metrics.registry, tuple)
    async with TestClient(TestServer(app)) as client:
        served = Ops(status, errors, client)
        metrics.watch(look, assess)
        yield served


async def test_live_is_answered_as_long_as_anything_is(ops: Ops) -> None:
    """Other failures do not matter."""
    ops.status = HostStatus(now=1000.0, lag=100.0)
    assert (await ops.client.get("/health/live")).status == 200


async def test_active_is_false_while_another_region_teaches(ops: Ops) -> None:
    """A load balancer sends learners by it; the host is ready all the same."""
    regions = RegionSettings(here="east", primary="west", secondary="east")
    for name, status in (("west", 503), ("east", 200)):
        ops.status = replace(ops.status, regions=regions, region_state=RegionState(name, 0.0))
        assert (await ops.client.get("/health/active")).status == status
        assert (await ops.client.get("/health/ready")).status == 200


@pytest.mark.parametrize(
    ("phase", "status"), [(Phase.STARTING, 503), (Phase.SERVING, 200), (Phase.DRAINING, 503)]
)
async def test_ready_is_true_while_the_host_serves(ops: Ops, phase: Phase, status: int) -> None:
    """And false from the moment that it drains."""
    ops.status = replace(ops.status, phase=phase)
    assert (await ops.client.get("/health/ready")).status == status


async def test_health_gives_each_level_with_its_findings(ops: Ops) -> None:
    """State, latency, age and a reason in words."""
    answer = await ops.client.get("/health")
    health = await answer.json()
    assert (answer.status, health["state"], health["ready"]) == (200, "ok", True)
    [host, livekit, *_] = health["levels"]
    assert (host["name"], livekit["name"]) == ("host", "livekit")
    assert livekit["findings"] == [
        {
            "name": "rooms API",
            "state": "ok",
            "reason": "answered 0 s ago",
            "latency": 0.01,
            "age": 0.0,
        }
    ]


async def test_a_failed_health_is_a_503_with_the_same_body(ops: Ops) -> None:
    """For those who read the status alone."""
    ops.status = replace(ops.status, rooms=Outcome(1000.0, 5.0, "gone"))
    answer = await ops.client.get("/health")
    assert answer.status == 503
    assert (await answer.json())["levels"][1]["state"] == "failed"


async def test_metrics_are_in_prometheus_s_format(ops: Ops) -> None:
    """With the content type that it asks for."""
    answer = await ops.client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "loqua_ready 1.0" in (await answer.text()).splitlines()


async def test_the_status_has_lessons_and_recent_errors_newest_first(ops: Ops) -> None:
    """All that the page shows."""
    ops.status = replace(ops.status, lessons=(LessonStatus("1f3a", "grammar", "full", 900.0, 1),))
    for why in ("first", "second"):
        ops.errors(None, "error", {"event": "worker.failed", "why": why})
    answer = await ops.client.get("/status")
    assert answer.content_type == "application/json"
    snapshot = HostSnapshot.model_validate_json(await answer.text())
    assert [(one.id, one.restarts) for one in snapshot.lessons] == [("1f3a", 1)]
    assert [error.why for error in snapshot.errors] == ["second", "first"]


@pytest.mark.parametrize(
    "path", ["/", "/ops.css", *SCRIPTS, "/runbooks/BreakerOpen", "/status", "/missing"]
)
async def test_no_answer_may_run_load_or_embed_what_is_not_ours(ops: Ops, path: str) -> None:
    """A browser gets the header on every path."""
    answer = await ops.client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_page_reads_nothing_that_it_shows_as_markup(ops: Ops) -> None:
    """A reason may quote what a participant made up."""
    page = await (await ops.client.get("/")).text()
    script = "".join([await (await ops.client.get(path)).text() for path in SCRIPTS])
    assert "<script" not in page.replace('<script type="module" src="/ops.js"></script>', "")
    assert 'fetch("/status"' in script
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert dangerous not in script


async def test_a_runbook_is_a_page_that_leads_to_others(ops: Ops) -> None:
    """An operator in an incident needs no other machine for it."""
    answer = await ops.client.get("/runbooks/LearnerWaiting")
    page = await answer.text()
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert "<h1>LearnerWaiting</h1>" in page
    assert '<a href="/runbooks/TutorCrashLoop">TutorCrashLoop</a>' in page


@pytest.mark.parametrize(
    "name",
    ["Missing", "../README", "..%2FREADME", "BreakerOpen.txt", "%00", "<script>"],
    ids=["missing", "parent", "encoded parent", "suffix", "null", "markup"],
)
async def test_there_is_no_other_file_among_the_runbooks(ops: Ops, name: str) -> None:
    """This holds for any path."""
    answer = await ops.client.get(f"/runbooks/{name}")
    assert answer.status == 404
    assert "<script>" not in await answer.text()


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
async def test_nothing_can_be_changed(ops: Ops, method: str) -> None:
    """It is read-only."""
    for path in ("/", "/health", "/metrics", "/status", "/runbooks/BreakerOpen"):
        assert (await getattr(ops.client, method)(path)).status == 405


async def test_a_port_that_is_taken_costs_no_lessons(ops: Ops) -> None:
    """The host says so and goes on."""
    taken = ops.client.port
    assert taken is not None
    with structlog.testing.capture_logs() as logs:
        async with serve_ops(OpsSettings(port=taken), ops.client.app):
            pass
    assert [(line["event"], line["log_level"]) for line in logs] == [("ops.unavailable", "error")]
    assert "ops.port" in logs[0]["hint"]


@pytest.fixture
async def guarded(ops: Ops) -> AsyncIterator[Client]:
    """Serve the same to those who have one of two tokens."""
    tokens = [SecretStr("new-token-ñ"), SecretStr("old-token")]
    app = build_app(lambda: ops.status, assess, incident, CollectorRegistry(), lambda: tokens)
    async with TestClient(TestServer(app)) as client:
        yield client


GUARDED = [
    *("/", "/ops.css", *SCRIPTS, "/status", "/runbooks/BreakerOpen", "/metrics", "/health"),
    "/missing",
]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer new-token",
        "Basic bm8gY29sb24=",
        "Basic ====",
        "Basic ñ",
        encode_basic_auth("new-token-ñ", ""),
        "new-token-ñ",
    ],
)
async def test_without_the_token_there_is_nothing(guarded: Client, given: str | None) -> None:
    """Not even whether there is such a page."""
    headers = {} if given is None else {"Authorization": given}
    for path in GUARDED:
        answer = await guarded.get(path, headers=headers)
        assert answer.status == 401, path
        assert await answer.text() == "what is OPS_TOKEN?\n", path
        assert answer.headers["WWW-Authenticate"].startswith("Basic "), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path


@pytest.mark.parametrize(
    "given",
    [
        "Bearer new-token-ñ",
        "bearer old-token",
        encode_basic_auth("whoever", "new-token-ñ"),
        encode_basic_auth("", "old-token"),
    ],
)
async def test_the_token_opens_everything(guarded: Client, given: str) -> None:
    """Prometheus and browsers send it differently; the previous token works during a rotation."""
    statuses = [
        (await guarded.get(path, headers={"Authorization": given})).status for path in GUARDED
    ]
    assert statuses == [200] * (len(GUARDED) - 1) + [404]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/active"])
async def test_probes_have_no_token_to_send(guarded: Client, path: str) -> None:
    """A kubelet's would stand in the open; they learn a word."""
    answer = await guarded.get(path)
    assert (answer.status, len((await answer.text()).split())) == (200, 1)

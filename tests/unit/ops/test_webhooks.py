"""The endpoint of LiveKit's webhooks."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from structlog.testing import capture_logs
from tests.pictures.incident import incident
from tests.unit.rooms.signing import KEY, body, sign

from loqua_host.ops.health import assess
from loqua_host.ops.status import HostStatus
from loqua_host.ops.web import build_app
from loqua_host.ops.webhooks import WEBHOOK, receive_webhook
from loqua_host.rooms.webhooks import WebhookEvent

Client = TestClient  # type: ignore[type-arg]  # generic in aiohttp's own request type


@pytest.fixture
def events() -> list[WebhookEvent]:
    """Return what was passed on."""
    return []


@pytest.fixture
async def livekit(events: list[WebhookEvent]) -> AsyncIterator[Client]:
    """Yield a client of an ops address that asks everybody else for a token."""
    status = HostStatus(now=1000.0)
    tokens = [SecretStr("ops-token")]
    app = build_app(lambda: status, assess, incident, CollectorRegistry(), lambda: tokens)
    app.router.add_post(WEBHOOK, receive_webhook(lambda: [KEY], events.append))
    async with TestClient(TestServer(app)) as client:
        yield client


async def send(livekit: Client, text: bytes, token: str) -> int:
    """Send a webhook; return the answer's status."""
    headers = {"Content-Type": "application/webhook+json", "Authorization": token}
    return (await livekit.post(WEBHOOK, data=text, headers=headers)).status


async def test_a_signed_webhook_is_heard_without_the_ops_token(
    livekit: Client, events: list[WebhookEvent]
) -> None:
    """LiveKit has no such token; its signature says more."""
    assert await send(livekit, body(), sign(body())) == 200
    assert [(hint.event, hint.room) for hint in events] == [("participant_joined", "room")]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (body(), ""),
        (body(), "Bearer ops-token"),
        (body(), sign(body(identity="eve"))),
        (body(), sign(body(), ttl=-timedelta(minutes=10))),
        (body(), sign(None)),
        (b"3", sign(b"3")),
    ],
    ids=["absent", "the ops token", "body changed", "expired", "a learner's own", "no webhook"],
)
async def test_anything_else_is_refused_and_nothing_happens(
    livekit: Client, events: list[WebhookEvent], text: bytes, token: str
) -> None:
    """The answer does not say why; the log does, which is limited as a whole."""
    with capture_logs() as logs:
        assert [await send(livekit, text, token) for _ in range(5)] == [401] * 5
    assert events == []
    assert {line["event"] for line in logs} == {"webhook.refused"}
    assert len({line["why"] for line in logs}) == 1  # so that the log can count them


async def test_a_body_beyond_all_measure_is_not_kept(
    livekit: Client, events: list[WebhookEvent]
) -> None:
    """Not even LiveKit's."""
    text = body(name="x" * 2**20)
    assert await send(livekit, text, sign(text)) == 413
    assert events == []

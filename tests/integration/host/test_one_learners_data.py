"""Invalid data of one learner at the API, without effect on other learners."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession, web
from tests.integration.host.conftest import Deployment, HostProcess, explicit

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "one-learners-data"
OTHERS = 3

Answer = Callable[[str], web.Response]

UNREADABLE: dict[str, Answer] = {
    "500": lambda _user: web.Response(status=500),
    "garbage": lambda _user: web.Response(text='{"user_id": "leo", "prefere'),
}


@dataclass(slots=True)
class Gateway:
    """A proxy before the API that spoils its answers about one learner.

    Attributes:
        url: Where it is.
        learner: Whose context it spoils, and the answers to whose records it drops.
        answer: What it answers in the context's place.
    """

    api: str
    learner: str
    answer: Answer
    url: str = ""
    dropped: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or spoil its answer."""
        if request.path.endswith(f"/user/{self.learner}/context"):
            return self.answer(self.learner)
        body = await request.read()
        status, content = await self._pass_on(request, body)
        mine = self.learner.encode() in body
        if mine and request.path.endswith("/sessions") and not self.dropped:
            self.dropped.append(request.path)
            raise ConnectionResetError
        return web.Response(status=status, body=content, content_type="application/json")

    async def _pass_on(self, request: web.Request, body: bytes) -> tuple[int, bytes]:
        kept = ("Authorization", "X-Agent-ID", "Content-Type", "Idempotency-Key")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        url = f"{self.api.rstrip('/')}{request.path}"
        async with (
            ClientSession() as http,
            http.request(request.method, url, data=body or None, headers=headers) as answer,
        ):
            return answer.status, await answer.read()


@asynccontextmanager
async def open_gateway(gateway: Gateway) -> AsyncIterator[Gateway]:
    """Yield a gateway for the length of a block."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gateway
    finally:
        await runner.cleanup()


async def taught(
    deployment: Deployment, host: HostProcess, user_id: str | None = None
) -> dict[str, object]:
    """Teach a learner; return the line that states how much of the API was available."""
    async with deployment.visit(agent_name=AGENT, user_id=user_id) as learner:
        opened = await host.log.until("lesson.opened", user_id=learner.user_id)
        await host.log.until("progress.made", user_id=learner.user_id)
        return opened


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
async def test_others_are_taught_with_all_that_the_api_knows_of_them(
    deployment: Deployment, tmp_path: Path, answer: Answer
) -> None:
    """However long one learner's context fails, and although a record waits for it."""
    leo = f"leo_{uuid4().hex[:8]}"
    async with (
        open_gateway(Gateway(deployment.api.url, leo, answer)) as gateway,
        deployment.host(tmp_path, explicit(AGENT), environ={"API_BASE_URL": gateway.url}) as host,
    ):
        assert (await taught(deployment, host, leo))["mode"] == "basic"
        await host.log.until("record.postponed", user_id=leo)
        for _ in range(OTHERS):
            opened = await taught(deployment, host)
            assert opened["mode"] == "full"
            await deployment.api.until("sessions", str(opened["user_id"]))
        assert not host.log.find("breaker.opened")
        gateway.learner = "nobody"
    assert len(await deployment.api.arrivals("sessions", leo)) == 1

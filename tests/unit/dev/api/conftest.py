"""A dev API in memory with a settable clock, and the guide's own examples."""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from fastapi import FastAPI

from loqua_host.dev.api import DevApiSettings, create_app

SHARED_SECRET = "a shared secret"


@dataclass
class SettableClock:
    """A clock that stands still until it is set."""

    now: float

    def __call__(self) -> float:
        """Return the current time."""
        return self.now


@dataclass(frozen=True)
class GuideEndpoint:
    """One endpoint of the guide: its method, its path, its blocks by their label."""

    method: str
    path: str
    blocks: dict[str, str]

    def example(self, label: str) -> Any:
        """Return the JSON under that label, without its comments."""
        return json.loads(re.sub(r"//.*", "", self.blocks[label]))

    def headers(self, token: str, agent_id: str) -> dict[str, str]:
        """Return the guide's headers, filled in."""
        names = {"agent_jwt": token, "user_jwt": token, "agent_identifier": agent_id}
        lines = self.blocks["Request Headers"].format(**names).strip().splitlines()
        return dict(line.split(": ", 1) for line in lines)


def _guide_endpoint(section: str) -> GuideEndpoint:
    method, path = re.search(r"\*\*Endpoint:\*\* `(\w+) (\S+)`", section).groups()
    blocks = re.findall(r"\*\*([^*]+):\*\*\n```\w*\n(.*?)```", section, re.DOTALL)
    return GuideEndpoint(method, path, dict(blocks))


@pytest.fixture(scope="session")
def guide() -> dict[str, GuideEndpoint]:
    """Return the guide's endpoints by their titles, from its text beside this file."""
    text = (Path(__file__).parent / "guide.md").read_text()
    _, *parts = re.split(r"^### \d+\. (.+)$", text, flags=re.MULTILINE)
    return {
        title: _guide_endpoint(section)
        for title, section in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.fixture
def clock() -> SettableClock:
    """Return a clock set to the time of the guide's examples."""
    return SettableClock(datetime(2025, 1, 15, 10, 30, tzinfo=UTC).timestamp())


@pytest.fixture
def settings() -> DevApiSettings:
    """Return settings as a developer has them."""
    return DevApiSettings(
        shared_secret=SHARED_SECRET,
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret="a secret of the LiveKit server, thirty-two or more",
    )


@pytest.fixture
def app(settings: DevApiSettings, clock: SettableClock) -> FastAPI:
    """Return the API under test, without randomness."""
    return create_app(settings, clock=clock, chance=lambda: 0.5)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that reaches the API without a socket."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


def decrypt(encrypted: str, secret: str) -> str:
    """Decrypt a token in the guide's steps, except the last one, the check of the result."""
    iv, data = (bytes.fromhex(part) for part in encrypted.split(":"))
    key = secret.encode().ljust(32, b"\0")[:32]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    return padded[: -padded[-1]].decode(errors="replace")


@dataclass
class Agent:
    """An agent as in the guide: exchanges a token, then acts for the learner."""

    client: httpx.AsyncClient
    settings: DevApiSettings
    agent_id: str
    user_id: str
    room: str = "room_1"
    token: str = field(default="", repr=False)

    def agent_headers(self) -> dict[str, str]:
        """Return the headers of the exchange."""
        jwt = self.settings.mint_agent_jwt("loqua")
        return {"Authorization": f"Bearer {jwt}", "X-Agent-ID": self.agent_id}

    async def ask_token(self, **changes: Any) -> httpx.Response:
        """Request the learner's token."""
        body = {"room_name": self.room, "user_id": self.user_id, "agent_id": self.agent_id}
        return await self.client.post(
            "/api/v1/agent/user-token", json=body | changes, headers=self.agent_headers()
        )

    async def exchange(self) -> "Agent":
        """Get the learner's token."""
        self.token = self.decrypted(await self.ask_token())
        return self

    @staticmethod
    def decrypted(answer: httpx.Response) -> str:
        """Return the token in an answer."""
        return decrypt(answer.json()["encrypted_token"], SHARED_SECRET)

    def headers(self) -> dict[str, str]:
        """Return the headers of all other endpoints."""
        return {"Authorization": f"Bearer {self.token}", "X-Agent-ID": self.agent_id}

    async def post(self, endpoint: str, body: Any, **headers: str) -> httpx.Response:
        """Call an endpoint of the guide as the learner."""
        path = f"/api/v1/agent/{endpoint}"
        return await self.client.post(path, json=body, headers=self.headers() | headers)

    async def context(self, user_id: str | None = None) -> httpx.Response:
        """Request a learner's context."""
        path = f"/api/v1/agent/user/{user_id or self.user_id}/context"
        return await self.client.get(path, headers=self.headers())


@pytest.fixture
def anyone(client: httpx.AsyncClient, settings: DevApiSettings) -> Callable[[str, str], Agent]:
    """Return any agent, for any learner, without a token."""
    return lambda agent_id, user_id: Agent(client, settings, agent_id, user_id)


@pytest.fixture
async def agent(anyone: Callable[[str, str], Agent]) -> Agent:
    """Return an agent that has Ana's token."""
    return await anyone("loqua-spanish-tutor", "user_ana").exchange()


@pytest.fixture
def progress(guide: dict[str, GuideEndpoint]) -> dict[str, Any]:
    """Return the guide's progress update, for Ana."""
    example = guide["Update User Progress"].example("Request Body")
    return example | {"userId": "user_ana", "sessionId": "sess_1"}


@pytest.fixture
def record(guide: dict[str, GuideEndpoint]) -> dict[str, Any]:
    """Return the guide's session record, for Ana."""
    example = guide["Create Learning Session"].example("Request Body")
    return example | {"userId": "user_ana", "sessionId": "sess_1"}

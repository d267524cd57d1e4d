"""A Loqua API in memory, and a clock that jumps to the next event instead of waiting."""

import asyncio
import base64
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.metrics import ApiMetrics
from loqua_host.core.runtime import Runtime
from loqua_host.observability.metrics import Instruments
from loqua_host.testing.virtual_time import EPOCH, VirtualClock, VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run all tests of this folder on virtual time."""
    return {"virtual": VirtualLoop}


def encrypt(text: str, secret: str, iv: bytes = b"0123456789abcdef") -> str:
    """Encrypt as the API does."""
    padder = PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(AES(secret.encode().ljust(32, b"\0")[:32]), CBC(iv)).encryptor()
    return f"{iv.hex()}:{(encryptor.update(padded) + encryptor.finalize()).hex()}"


def jwt(**claims: object) -> str:
    """Return a JWT with these claims; its signature is nobody's."""
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*coded, b"signature"]).decode()


@dataclass
class ReceivedCall:
    """A request that reached the API, and its time (virtual seconds)."""

    endpoint: str
    at: float
    headers: httpx.Headers
    body: Any
    version: str


Fault = httpx.Response | Exception | float
"""An answer to give, an error to fail with, or seconds to take over a good answer."""


@dataclass
class Loqua:
    """A Loqua API that answers as the guide says, until a test tells it otherwise."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    secret: str = "shared-secret"
    agent_jwt: str = "agent-jwt"
    token_life: float = 3600
    latency: float = 0.0
    down: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    poisoned: set[tuple[str, str]] = field(default_factory=set)
    """Endpoints that fail for a learner alone."""
    claims: Callable[[], dict[str, Any]] = dict
    permissions: list[str] = field(
        default_factory=lambda: ["user.progress", "session.create", "user.context"]
    )
    calls: list[ReceivedCall] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    context: dict[str, Any] = field(
        default_factory=lambda: {
            "preferences": {"language_learning": "spanish", "learning_pace": "moderate"},
            "progress": {"total_sessions": 25, "words_learned": 150},
        }
    )

    def seen(self, endpoint: str) -> list[ReceivedCall]:
        """Return the calls that reached one endpoint."""
        return [call for call in self.calls if call.endpoint == endpoint]

    def fail(self, endpoint: str, *faults: Fault) -> None:
        """Answer the endpoint's next calls with these faults, one each."""
        self.faults[endpoint].extend(faults)

    def now(self) -> float:
        """Return the API's own wall time."""
        return EPOCH + self.clock.monotonic()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Serve one request."""
        endpoint = "context" if "/user/" in request.url.path else request.url.path.split("/")[-1]
        body = json.loads(request.content) if request.content else None
        version = request.url.path.split("/")[2]
        self.calls.append(
            ReceivedCall(endpoint, self.clock.monotonic(), request.headers, body, version)
        )
        fault = self.faults[endpoint].popleft() if self.faults[endpoint] else self.latency
        if isinstance(fault, int | float):
            await asyncio.sleep(fault)
            fault = self._answer(endpoint, request, body)
        if isinstance(fault, Exception):
            raise fault
        date = formatdate(self.now(), usegmt=True)
        fault.headers.update({"Date": date, **self.headers, **fault.headers})
        return fault

    def _answer(self, endpoint: str, request: httpx.Request, body: Any) -> httpx.Response:
        if self.down:
            return httpx.Response(503)
        if any((endpoint, user) in self.poisoned for user in _users(request, body)):
            return httpx.Response(500)
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        if bearer != self.agent_jwt and self.tokens.get(bearer, 0) <= self.now():
            return error(401, "UNAUTHORIZED", "no valid token")
        if endpoint == "user-token":
            return self._token(body)
        if endpoint == "context":
            history = [{"session_id": session} for session in self.sessions]
            user_id = request.url.path.split("/")[-2]
            return httpx.Response(
                200, json={"user_id": user_id, "session_history": history, **self.context}
            )
        if endpoint == "sessions":
            self.sessions.append(body["sessionId"])
        return httpx.Response(200, json={"success": True, "permissions": self.permissions})

    def _token(self, body: Any) -> httpx.Response:
        token = jwt(exp=self.now() + self.token_life, n=len(self.tokens), **self.claims())
        self.tokens[token] = self.now() + self.token_life
        answer = {
            "encrypted_token": encrypt(token, self.secret),
            "user_id": body["user_id"],
            "room_name": body["room_name"],
            "issued_to": body["agent_id"],
            "expires_in": self.token_life,
        }
        return httpx.Response(200, json=answer)


def _users(request: httpx.Request, body: Any) -> set[str]:
    named = {body.get("userId"), body.get("user_id")} if body else set()
    return {*named, *request.url.path.split("/")}


def error(status: int, code: str, message: str) -> httpx.Response:
    """Return an error answer in the guide's shape."""
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


@dataclass
class ApiUnderTest:
    """The API, the host's clock, and the reports; opens the core in between."""

    loqua: Loqua = field(default_factory=Loqua)
    clock: VirtualClock = field(default_factory=VirtualClock)
    logs: list[dict[str, Any]] = field(default_factory=list)
    instruments: Instruments = field(default_factory=Instruments)
    environ: dict[str, str] = field(
        default_factory=lambda: {
            "AGENT_JWT_TOKEN": "agent-jwt",
            "SHARED_SECRET": "shared-secret",
        }
    )

    def open(self, **changes: Any) -> AbstractAsyncContextManager[LoquaApi]:
        """Open the core towards the API in memory."""
        return LoquaApi.open(
            CoreSettings(api_base_url="http://loqua.test", **changes),
            EnvironmentSecrets(self.environ),
            runtime=Runtime(
                self.clock,
                Random(1),  # noqa: S311  (jitter that repeats)
                ApiMetrics(self.instruments),
            ),
            transport=httpx.MockTransport(self.loqua),
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log of that event."""
        return [line for line in self.logs if line["event"] == event]

    def counted(self, name: str, **labels: str) -> float | None:
        """Return what a metric is exposed as."""
        return self.instruments.registry.get_sample_value(f"loqua_{name}", labels)


@pytest.fixture
def under_test(logs: list[dict[str, Any]]) -> ApiUnderTest:
    """Return an API that works and a host that has not opened yet."""
    return ApiUnderTest(logs=logs)


@pytest.fixture
def loqua(under_test: ApiUnderTest) -> Loqua:
    """Return the API."""
    return under_test.loqua


@pytest.fixture
async def api(under_test: ApiUnderTest) -> AsyncIterator[LoquaApi]:
    """Yield the core, open towards that API."""
    async with under_test.open() as api:
        yield api


@pytest.fixture
def caller() -> Caller:
    """Return the usual learner."""
    return Caller("user-1", "room-1", "loqua-spanish-tutor")


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """Catch the log."""
    with structlog.testing.capture_logs() as entries:
        yield entries

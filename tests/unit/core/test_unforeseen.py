"""Unforeseen errors of transports, libraries and secrets ports, which leave the core by name."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import h2.exceptions
import hpack
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.conftest import ApiUnderTest, Loqua

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import Caller, CoreSettings, LoquaApi
from loqua_host.core.runtime import Runtime
from loqua_host.core.secrets import CoreSecret, Sealed, Secret
from loqua_host.errors import ApiError, ConfigError, SecretsError, UnreachableError
from loqua_host.testing.virtual_time import VirtualLoop

QUOTED = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.what-nobody-may-read"
RECORD = SessionRecord(session_id="s", duration_minutes=1, overall_performance=Performance.GOOD)
CALLER = Caller("user-1", "room-1", "agent")


class OddError(Exception):
    """An exception that no list of types contains."""


ERRORS: list[Callable[[], Exception]] = [
    lambda: ssl.SSLError(1, QUOTED),
    lambda: ssl.SSLCertVerificationError(QUOTED),
    lambda: ValueError(QUOTED),
    lambda: UnicodeError(QUOTED),
    lambda: UnicodeEncodeError("ascii", QUOTED, 0, 1, QUOTED),
    lambda: OSError(113, QUOTED),
    lambda: RuntimeError(f"client has been closed {QUOTED}"),
    lambda: KeyError(QUOTED),
    lambda: RecursionError(QUOTED),
    lambda: AssertionError(QUOTED),
    lambda: zlib.error(QUOTED),
    anyio.ClosedResourceError,
    lambda: h2.exceptions.ProtocolError(QUOTED),
    lambda: hpack.HPACKError(QUOTED),
    lambda: httpx.InvalidURL(QUOTED),
    httpx.StreamClosed,
    lambda: httpx.ReadError(QUOTED),
    lambda: httpx.DecodingError(QUOTED),
    lambda: TimeoutError(QUOTED),
    lambda: ExceptionGroup(QUOTED, [OddError(QUOTED)]),
    lambda: OddError(QUOTED),
]


class Body(httpx.AsyncByteStream):
    """A body that fails while it is read, or when it is closed."""

    def __init__(self, error: Exception, *, on_close: bool) -> None:
        self.error = error
        self.on_close = on_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield a part, then the error."""
        yield b"{"
        if not self.on_close:
            raise self.error

    async def aclose(self) -> None:
        """Fail, if that is asked for."""
        if self.on_close:
            raise self.error


STEPS = {"connect": ("connect_tcp",), "send": ("connect_tcp", "send_request_headers")}
"""What a transport tells that it does, up to a point."""


@dataclass
class Breaking(httpx.AsyncBaseTransport):
    """A transport that raises at one point of a request, in front of the API in memory.

    Attributes:
        point: `connect` or `send`, as a transport that tells what it does; `answer`, without a
            word; `headers` answers with odd ones; `body` and `closing` break an answer.
    """

    loqua: Loqua
    error: Exception | None = None
    point: str = "answer"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request."""
        if self.error is None:
            return await httpx.MockTransport(self.loqua).handle_async_request(request)
        await asyncio.sleep(0.01)
        if self.point in ("body", "closing"):
            return httpx.Response(200, stream=Body(self.error, on_close=self.point == "closing"))
        if self.point == "headers":
            odd = [(b"Date", b"\xff\x00"), (b"Retry-After", b"\xb2"), (b"Sunset", b"@9" * 40)]
            return httpx.Response(503, headers=odd)
        for step in STEPS.get(self.point, ()):
            await request.extensions["trace"](f"connection.{step}.started", {})
        raise self.error


POINTS = ["connect", "send", "answer", "headers", "body", "closing"]


@contextmanager
def only_named() -> Iterator[None]:
    """Accept only ApiErrors that quote nothing."""
    why = ""
    try:
        yield
    except ApiError as error:
        why = str(error)
    assert QUOTED not in why


@dataclass
class Port:
    """A secrets port that behaves as a test sets it."""

    values: dict[CoreSecret, Secret] = field(
        default_factory=lambda: {
            CoreSecret.AGENT_JWT_TOKEN: Secret(Sealed("agent-jwt")),
            CoreSecret.SHARED_SECRET: Secret(Sealed("shared-secret")),
        }
    )
    error: Exception | None = None

    async def read(self, name: CoreSecret, *, fresh: bool = False) -> Secret:  # noqa: ARG002  # the port's
        """Return the value, or raise."""
        if self.error is not None:
            raise self.error
        return self.values[name]


def opened(
    under_test: ApiUnderTest, transport: httpx.AsyncBaseTransport, port: Port | None = None
) -> Any:
    """Open the core with that transport."""
    return LoquaApi.open(
        CoreSettings(api_base_url="http://loqua.test"),
        port or Port(),
        runtime=Runtime(under_test.clock, Random(1)),  # noqa: S311  # jitter that repeats
        transport=transport,
    )


def calls_of(api: LoquaApi) -> list[Callable[[], Any]]:
    """Return every method that calls the API."""
    return [
        lambda: api.lease(CALLER),
        lambda: api.context(CALLER),
        lambda: api.send_progress(
            CALLER, session_id="s", status="in_progress", progress=Progress(), key="k"
        ),
        lambda: api.create_session(CALLER, RECORD, key="k"),
        lambda: api.session_known(CALLER, "s"),
        lambda: api.check_health(CALLER),
        api.agent_token_seconds_left,
    ]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ERRORS), st.sampled_from(POINTS), st.booleans())
def test_whatever_a_transport_raises_leaves_the_core_by_name(
    error: Callable[[], Exception], point: str, leased: bool
) -> None:
    """At every point of a request, and the core is as good as before afterwards."""

    async def run() -> None:
        under_test = ApiUnderTest()
        transport = Breaking(under_test.loqua)
        async with opened(under_test, transport) as api:
            if leased:
                await api.lease(CALLER)
            transport.error, transport.point = error(), point
            for call in calls_of(api):
                with only_named():
                    await call()
            transport.error = None
            await asyncio.sleep(60)
            await api.lease(CALLER)
            await api.check_health(CALLER)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@pytest.mark.parametrize(("point", "sent"), [("connect", False), ("send", True), ("answer", True)])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_request_that_never_left_is_distinguished_from_one_that_may_have(
    under_test: ApiUnderTest, point: str, sent: bool, error: Callable[[], Exception]
) -> None:
    """So that a record is not sent twice, and one that never left is."""
    transport = Breaking(under_test.loqua)
    async with opened(under_test, transport) as api:
        await api.lease(CALLER)
        transport.error, transport.point = error(), point
        with pytest.raises(UnreachableError) as unreachable:
            await api.create_session(CALLER, RECORD, key="k")
    assert unreachable.value.sent is sent


async def test_a_call_that_cannot_even_be_written_was_not_sent(under_test: ApiUnderTest) -> None:
    """A JWT that no header takes."""
    port = Port()
    async with opened(under_test, Breaking(under_test.loqua), port) as api:
        port.values[CoreSecret.AGENT_JWT_TOKEN] = Secret(
            Sealed("j\N{LATIN SMALL LETTER U WITH DIAERESIS}")
        )
        with pytest.raises(UnreachableError) as unreachable:
            await api.lease(CALLER)
    assert unreachable.value.sent is False
    assert under_test.loqua.calls == []


async def test_cancellation_stays_cancellation(under_test: ApiUnderTest) -> None:
    """And what ends the process ends it."""
    transport = Breaking(under_test.loqua)
    async with opened(under_test, transport) as api:
        call = asyncio.create_task(api.lease(CALLER))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_fault_of_our_own_is_logged_with_its_line_and_without_its_message(
    under_test: ApiUnderTest, logs: list[Any]
) -> None:
    """Nobody would find it otherwise, and its words may quote a JWT."""
    transport = Breaking(under_test.loqua, KeyError(QUOTED))
    async with opened(under_test, transport) as api:
        with pytest.raises(UnreachableError):
            await api.lease(CALLER)
    faults = [line for line in logs if line["event"] == "error.caught"]
    assert faults
    assert {line["why"] for line in faults} == {"KeyError"}
    assert "test_unforeseen.py:" in faults[0]["at"][-1]
    assert QUOTED not in str(logs)


@pytest.mark.parametrize("error", [*ERRORS, lambda: SecretsError("gone"), lambda: ConfigError([])])
async def test_whatever_a_secrets_port_raises_is_an_outage(
    under_test: ApiUnderTest, error: Callable[[], Exception]
) -> None:
    """Lessons degrade for as long as it lasts, and no longer."""
    port = Port()
    async with opened(under_test, Breaking(under_test.loqua), port) as api:
        port.error = error()
        for call in calls_of(api):
            with only_named():
                await call()
        with pytest.raises(UnreachableError) as unreachable:
            await api.lease(CALLER)
        assert unreachable.value.sent is False
        assert await api.agent_token_seconds_left() is None
        port.error = None
        await api.lease(CALLER)


async def test_a_secret_that_cannot_be_read_refuses_the_start_by_name(
    under_test: ApiUnderTest,
) -> None:
    """Where it would be, not what it is."""
    port = Port(error=RuntimeError(QUOTED))
    with pytest.raises(ConfigError, match="AGENT_JWT_TOKEN: cannot be read") as refused:
        async with opened(under_test, Breaking(under_test.loqua), port):
            pass
    assert QUOTED not in str(refused.value)


BAD = [
    "",
    " ",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\ud83d",
    "\N{ZERO WIDTH NO-BREAK SPACE}x",
    "two\nlines",
]


@pytest.mark.parametrize("name", [CoreSecret.AGENT_JWT_TOKEN, CoreSecret.SHARED_SECRET])
@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_secret_seen_for_a_while_does_not_end_the_refreshing_of_tokens(
    under_test: ApiUnderTest, name: CoreSecret, bad: str
) -> None:
    """Twenty seconds of it, just when a token is to be renewed."""
    under_test.loqua.token_life = 600
    port = Port()
    async with opened(under_test, Breaking(under_test.loqua), port) as api:
        await api.lease(CALLER)
        await asyncio.sleep(295)
        good = port.values[name]
        port.values[name] = Secret(Sealed(bad))
        await asyncio.sleep(20)
        port.values[name] = good
        await asyncio.sleep(100)
        assert (api.user_token_seconds_left() or 0) > 400
        await asyncio.sleep(3600)
        assert (api.user_token_seconds_left() or 0) > 250


async def test_an_unforeseen_error_does_not_end_the_refreshing_of_tokens(
    under_test: ApiUnderTest, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    """Not even a bug of ours."""
    under_test.loqua.token_life = 600
    async with opened(under_test, Breaking(under_test.loqua)) as api:
        await api.lease(CALLER)
        with monkeypatch.context() as patched:
            patched.setattr(api._tokens, "_renew", lambda _caller: 1 / 0)
            await asyncio.sleep(320)
        await asyncio.sleep(60)
        assert (api.user_token_seconds_left() or 0) > 400
    failed = [line for line in logs if line["event"] == "error.caught"]
    assert {(line["task"], line["why"]) for line in failed} == {
        ("UserTokens._keep", "ZeroDivisionError")
    }


async def test_a_client_that_broke_is_not_used_again(under_test: ApiUnderTest) -> None:
    """One that was closed, say, would fail every call from then on."""
    async with opened(under_test, Breaking(under_test.loqua)) as api:
        await api.lease(CALLER)
        await api._calls._api._pools._current.http.aclose()  # nobody else does
        await api.check_health(CALLER)

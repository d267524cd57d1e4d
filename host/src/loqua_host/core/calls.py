"""Calls to the API with deadline, retries, circuit breaker and limits."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol, TypeVar

import httpx
import structlog
from opentelemetry import trace
from pydantic import SecretStr

from loqua_host.errors import ApiError, RefusedError, UnreachableError
from loqua_host.observability.faults import log_fault

from . import retry, verdict
from .breaker import Breaker
from .endpoints import EndpointStatus
from .limits import RateLimits
from .pools import Pools
from .runtime import Runtime
from .secrets import Sealed
from .settings import CoreSettings
from .transport import HttpTransport, RequestTrace, Transport
from .verdict import UNAUTHORIZED, Prematurity
from .versions import SPOKEN, Versions, VersionStatus
from .wire import Answer, Request

__all__ = ["Bearer", "Calls"]

T = TypeVar("T")

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

CANCELLED = "cancelled"

NO_STORES: Mapping[str, Transport] = MappingProxyType({})

LONGEST_PREMATURE_PAUSE = 2.0
"""Maximum seconds before a token that may not be valid yet is tried again."""


class Bearer(Protocol):
    """The provider of a call's JWT."""

    async def jwt(self) -> Sealed:
        """Return the current JWT."""

    async def replacement(self, refused: SecretStr) -> Sealed | None:
        """Return another JWT after the API refused that one with 401, or None."""


@dataclass(slots=True)
class _CallState:
    """A call in progress: its deadline and its attempts so far.

    Attributes:
        sent: Whether the API may have taken the request.
        prematurity: Whether the token that was refused last may be valid a moment later.
    """

    deadline: float
    attempt: int = 0
    sent: bool = False
    prematurity: Prematurity = Prematurity.NO


@dataclass(slots=True)
class _AttemptResult:
    """The result of one attempt; cancelled, unless set otherwise."""

    attempt: int
    status: int | None = None
    failure: str | None = CANCELLED
    why: str | None = None


class Calls:
    """Send requests; every call ends with a value or a typed error before its deadline.

    Args:
        pools: The connections to the API.
        settings: The section `api:`.
        runtime: The clock, randomness and metrics.
        stores: Where calls are answered in the API's place, by endpoint.
    """

    def __init__(
        self,
        pools: Pools,
        settings: CoreSettings,
        runtime: Runtime,
        stores: Mapping[str, Transport] = NO_STORES,
    ) -> None:
        self._stores = stores
        self._versions = Versions(SPOKEN[SPOKEN.index(settings.max_version) :])
        self._api = HttpTransport(pools, self._versions, settings, runtime.clock)
        self._settings = settings
        self._clock = runtime.clock
        self._random = runtime.random
        self._metrics = runtime.metrics
        self._limits = RateLimits(settings, runtime.clock)
        self._breakers: dict[str, Breaker] = {}
        self._endpoints: dict[str, EndpointStatus] = {}

    @property
    def version(self) -> VersionStatus:
        """The version of the API in use, and what is known of its end."""
        return self._versions.status

    def endpoints(self) -> Mapping[str, EndpointStatus]:
        """Return the status of the endpoints that have been called, by name."""
        return {
            name: replace(last, breaker=self._breakers[name].state)
            for name, last in self._endpoints.items()
        }

    async def send(self, request: Request[T], bearer: Bearer) -> T:
        """Send a request and return the value of its response; after a 401, retry with another JWT.

        The deadline includes token exchanges.

        Raises:
            RefusedError: If the API refuses.
            UnreachableError: If there is no usable response before the deadline.
        """
        with tracer.start_as_current_span(
            f"api {request.endpoint}",
            kind=trace.SpanKind.CLIENT,
            attributes={"endpoint": request.endpoint},
            record_exception=False,
        ):
            return await self._with_deadline(request, bearer)

    async def _with_deadline(self, request: Request[T], bearer: Bearer) -> T:
        state = _CallState(self._clock.monotonic() + self._settings.deadline)
        try:
            async with asyncio.timeout(self._settings.deadline):
                return await self._with_reauth(request, bearer, state)
        except TimeoutError:
            message = f"no usable answer within api.deadline ({self._settings.deadline:g} s)"
            raise UnreachableError(request.endpoint, message, sent=state.sent) from None
        except UnreachableError as error:
            error.sent = state.sent
            raise

    async def _with_reauth(self, request: Request[T], bearer: Bearer, state: _CallState) -> T:
        jwt, replaced, pauses = await bearer.jwt(), False, _premature_pauses()
        while True:
            try:
                return await self._with_retries(request, jwt, state)
            except ApiError as error:
                if error.status != UNAUTHORIZED:
                    raise
                refusal = error
            other = None
            if not replaced and state.prematurity is not Prematurity.STATED:
                replaced, other = True, await bearer.replacement(jwt)
            if other is None:
                await self._wait_until_valid(refusal, state, next(pauses))
            else:
                jwt = other

    async def _wait_until_valid(self, refusal: ApiError, state: _CallState, pause: float) -> None:
        """Wait until a refused token may be valid, or raise the refusal."""
        in_time = self._clock.monotonic() + pause < state.deadline
        if state.prematurity is not Prematurity.NO and in_time:
            await self._clock.sleep(pause)
            return
        if state.prematurity is Prematurity.STATED:
            raise UnreachableError(
                refusal.endpoint, refusal.message, status=refusal.status, sent=state.sent
            )
        raise refusal

    async def _with_retries(self, request: Request[T], jwt: SecretStr, state: _CallState) -> T:
        while True:
            state.attempt += 1
            try:
                return await self._guarded(request, jwt, state)
            except UnreachableError as error:
                if not retry.may_repeat(
                    error,
                    attempt=state.attempt,
                    retries=self._settings.retries,
                    repeatable=request.repeatable,
                ):
                    raise
            await self._clock.sleep(
                retry.pause(state.attempt, first=self._settings.backoff, random=self._random)
            )

    async def _guarded(self, request: Request[T], jwt: SecretStr, state: _CallState) -> T:
        with self._breaker(request.endpoint).attempt(request.caller.user_id):
            async with self._limits.slot(request.endpoint, state.deadline):
                before, state.sent = state.sent, True
                try:
                    return await self._instrumented(request, jwt, state)
                except RefusedError:
                    state.sent = before
                    raise
                except UnreachableError as error:
                    state.sent = before or error.sent
                    raise

    async def _instrumented(self, request: Request[T], jwt: SecretStr, state: _CallState) -> T:
        begun, end = self._clock.monotonic(), _AttemptResult(state.attempt)
        try:
            end.status, value = await self._validated(request, jwt, state)
            end.failure = None
        except ApiError as error:
            end.status, end.failure, end.why = error.status, type(error).__name__, str(error)
            raise
        except asyncio.CancelledError:
            # If the deadline has passed, the API has failed; otherwise, the caller is gone.
            if self._clock.monotonic() >= state.deadline:
                end.failure, end.why = UnreachableError.__name__, "no answer within api.deadline"
            raise
        else:
            return value
        finally:
            self._report(request, end, self._clock.monotonic() - begun)

    def _report(self, request: Request[T], end: _AttemptResult, seconds: float) -> None:
        """Log and count an attempt, and update its endpoint's status."""
        self._metrics.observe_attempt(
            request.endpoint,
            end.failure or "ok",
            end.status,
            attempt=end.attempt,
            seconds=seconds,
        )
        if end.failure != CANCELLED:
            why = _without_ids(request, end.why or end.failure)
            self._endpoints[request.endpoint] = EndpointStatus(
                self._clock.monotonic(), seconds, why
            )
        status = {} if end.status is None else {"status": end.status}
        span = trace.get_current_span()
        span.set_attributes({"attempts": end.attempt, **status})
        outcome, seconds = end.failure or "ok", round(seconds, 4)
        span.add_event("attempt", {"outcome": outcome, "seconds": seconds, **status})
        log_end = log.info if end.failure is None else log.warning
        log_end(
            "api.called",
            endpoint=request.endpoint,
            agent_id=request.caller.agent_id,
            user_id=request.caller.user_id,
            status=end.status,
            failure=end.failure,
            why=end.why,
            attempt=end.attempt,
            seconds=seconds,
        )

    async def _validated(
        self, request: Request[T], jwt: SecretStr, state: _CallState
    ) -> tuple[int, T]:
        """Make one round trip; every failure is an ApiError."""
        passage = RequestTrace()
        try:
            transport = self._stores.get(request.endpoint, self._api)
            status, answer = await transport.send(request, jwt, passage)
            wait = self._limits.handle(request.endpoint, status, answer.headers)
            return status, self._value(request, jwt, state, status, answer, wait)
        except ApiError:
            raise
        except TimeoutError:
            message = f"no answer within api.attempt_timeout ({self._settings.attempt_timeout:g} s)"
            raise UnreachableError(request.endpoint, message, sent=passage.sent) from None
        except Exception as error:  # noqa: BLE001  # transports and libraries raise what they like
            raise _unexpected(request.endpoint, error, sent=passage.sent) from None

    def _value(
        self,
        request: Request[T],
        jwt: SecretStr,
        state: _CallState,
        status: int,
        answer: Answer,
        wait: float | None,
    ) -> T:
        if 200 <= status < 300:  # noqa: PLR2004  (2xx)
            return _read(request, status, answer)
        details = verdict.read_error(answer.body, answer.headers, request.body)
        state.prematurity = verdict.prematurity(details, jwt, answer.headers, self._clock.now())
        raise verdict.judge(request.endpoint, status, details, wait)

    def _breaker(self, endpoint: str) -> Breaker:
        if endpoint not in self._breakers:
            self._breakers[endpoint] = Breaker(
                endpoint, self._settings.breaker, self._clock, self._metrics
            )
        return self._breakers[endpoint]


def _premature_pauses() -> Iterator[float]:
    pause = LONGEST_PREMATURE_PAUSE / 4
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PREMATURE_PAUSE)


def _without_ids(request: Request[T], text: str | None) -> str | None:
    """Return a text for the status page, without ids of learners that the API may have quoted."""
    caller = request.caller
    ids = {"user_id": caller.user_id, "session_id": request.session_id, "room": caller.room}
    for name, value in ids.items():
        if text and value:
            text = text.replace(value, f"[{name}]")
    return text


def _read(request: Request[T], status: int, answer: Answer) -> T:
    try:
        return request.read(answer)
    except ApiError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the answer did to its reader
        if not isinstance(error, ValueError):
            log_fault("api_answer", error, endpoint=request.endpoint)
        message = "answered what the guide does not describe"
        raise UnreachableError(request.endpoint, message, status=status) from None


def _unexpected(endpoint: str, error: Exception, *, sent: bool) -> UnreachableError:
    """Return the error for an unexpected exception, whose text may quote headers with the JWT."""
    name = type(error).__name__
    if isinstance(error, _NOT_CONNECTED):
        return UnreachableError(
            endpoint, f"cannot connect to api.api_base_url ({name})", sent=False
        )
    if not isinstance(error, httpx.HTTPError | OSError):
        log_fault("api_call", error, endpoint=endpoint)
    return UnreachableError(endpoint, name, sent=sent)


_NOT_CONNECTED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

"""User tokens of running lessons: exchanged once, shared, refreshed in time, then deleted."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import structlog
from opentelemetry import trace
from pydantic import SecretStr

from loqua_host.errors import ApiError, RefusedError, TokenError, UnreachableError
from loqua_host.observability.faults import log_fault
from loqua_host.system.tasks import forever

from . import retry, tokens, wire
from .caller import Caller
from .calls import Calls
from .credentials import Credentials
from .ephemeral import EphemeralKey
from .rate_headers import server_time
from .runtime import Runtime
from .secrets import Sealed
from .settings import CoreSettings
from .single_flight import SingleFlight, stop
from .wire import UserTokenAnswer

__all__ = ["UserBearer", "UserToken", "UserTokens", "refresh_at"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

REFUSED_PAUSE = 60.0
"""Seconds until a refresh that was refused is tried again; the old token serves meanwhile."""


@dataclass(frozen=True, slots=True)
class UserToken:
    """A user's JWT, with the moments (monotonic seconds) to renew it and to stop using it."""

    jwt: Sealed
    refresh_at: float
    expires_at: float


def refresh_at(now: float, lifetime: float, before: float) -> float:
    """Return when to renew: `before` seconds ahead of expiry, at half-life of a shorter life."""
    return now + max(lifetime - before, lifetime / 2)


@dataclass(slots=True)
class _Lease:
    references: int = 0
    token: UserToken | None = None
    keeper: asyncio.Task[None] | None = None


class UserTokens:
    """The tokens of all running lessons, in memory only.

    However many callers want one token, one exchange is made for it.
    """

    def __init__(
        self,
        calls: Calls,
        credentials: Credentials,
        runtime: Runtime,
        settings: CoreSettings,
    ) -> None:
        self._calls = calls
        self._credentials = credentials
        self._runtime = runtime
        self._clock = runtime.clock
        self._metrics = runtime.metrics
        self._refresh_before = settings.refresh_before
        self._ephemeral_keys = settings.ephemeral_keys
        self._leases: dict[Caller, _Lease] = {}
        self._exchanges: SingleFlight[Caller, UserToken] = SingleFlight()

    async def lease(self, caller: Caller) -> None:
        """Keep the caller's token until a `release` for each `lease`."""
        lease = self._leases.setdefault(caller, _Lease())
        lease.references += 1
        with ExitStack() as undo:
            undo.callback(self.release, caller)
            await self.current(caller)
            undo.pop_all()
        if lease.keeper is None:
            lease.keeper = asyncio.create_task(forever(partial(self._keep, caller)))

    def release(self, caller: Caller) -> None:
        """Release one lease; the last one forgets the token."""
        lease = self._leases.get(caller)
        if lease is None:
            return
        lease.references -= 1
        if lease.references == 0:
            del self._leases[caller]
            if lease.keeper is not None:
                lease.keeper.cancel()

    def leased(self, caller: Caller) -> bool:
        """Return whether anyone holds a lease for the caller."""
        return caller in self._leases

    def usable(self, caller: Caller) -> bool:
        """Return whether an unexpired token is held."""
        return self._held(caller) is not None

    def seconds_left(self) -> float | None:
        """Return the seconds until the first token held expires, less than 0 for one that has."""
        held = [lease.token.expires_at for lease in self._leases.values() if lease.token]
        return min(held) - self._clock.monotonic() if held else None

    async def current(self, caller: Caller) -> UserToken:
        """Return the token held if it is usable, else a new one."""
        return self._held(caller) or await self._renew(caller)

    async def after_refusal(self, caller: Caller, refused: SecretStr) -> UserToken:
        """Return another token than the refused one: the newer one held, else a new one."""
        held = self._held(caller)
        if held is not None and held.jwt != refused:
            return held
        return await self._renew(caller)

    async def aclose(self) -> None:
        """Forget every token."""
        await stop(lease.keeper for lease in self._leases.values() if lease.keeper)
        await self._exchanges.aclose()
        self._leases.clear()

    def _held(self, caller: Caller) -> UserToken | None:
        lease = self._leases.get(caller)
        token = None if lease is None else lease.token
        return token if token and self._clock.monotonic() < token.expires_at else None

    async def _renew(self, caller: Caller) -> UserToken:
        return await self._exchanges.join(caller, lambda: self._exchange(caller))

    async def _exchange(self, caller: Caller) -> UserToken:
        with tracer.start_as_current_span("token exchange", record_exception=False):
            try:
                return await self._exchanged(caller)
            except ApiError:
                raise
            except Exception as error:  # noqa: BLE001  # of whatever an answer or a secret holds
                log_fault("token_exchange", error)
                raise UnreachableError("user-token", type(error).__name__) from None

    async def _exchanged(self, caller: Caller) -> UserToken:
        key = None if self._ephemeral_keys == "off" else EphemeralKey()
        offered = key.public if key else None
        request = wire.user_token_request(caller, self._runtime.idempotency_key(), offered)
        answer, date = await self._calls.send(request, self._credentials)
        local_now = self._clock.now()
        server_now = server_time(date, local_now)
        jwt, lifetime = await self._accept(answer, caller, key, server_now)
        now = self._clock.monotonic()
        token = UserToken(jwt, refresh_at(now, lifetime, self._refresh_before), now + lifetime)
        is_first = self._held(caller) is None
        metrics = self._metrics
        (metrics.tokens_exchanged if is_first else metrics.tokens_refreshed).inc()
        log.info(
            "token.exchanged" if is_first else "token.refreshed",
            agent_id=caller.agent_id,
            user_id=caller.user_id,
            lifetime=round(lifetime),
            skew=round(server_now - local_now),
            sealed=answer.encryption is not None,
        )
        if caller in self._leases:
            self._leases[caller].token = token
        return token

    async def _accept(
        self, answer: UserTokenAnswer, caller: Caller, key: EphemeralKey | None, server_now: float
    ) -> tuple[Sealed, float]:
        if answer.encryption is not None:
            return tokens.accept(answer, caller, (), server_now=server_now, key=key)
        if self._ephemeral_keys == "required":
            raise tokens.token_error(tokens.TokenCause.NOT_SEALED)
        secrets = await self._credentials.shared_secrets()
        try:
            return tokens.accept(answer, caller, secrets, server_now=server_now)
        except TokenError as error:
            if error.cause not in tokens.OF_ANOTHER_SECRET:
                raise
        # The API may have been given a new secret before this host looked for one.
        secrets = await self._credentials.shared_secrets(fresh=True)
        return tokens.accept(answer, caller, secrets, server_now=server_now)

    async def _keep(self, caller: Caller) -> None:
        token = None
        while True:
            token = await self._refreshed(caller, token)
            await self._clock.sleep(token.refresh_at - self._clock.monotonic())

    async def _refreshed(self, caller: Caller, old: UserToken | None) -> UserToken:
        """Return another token than the old one, however long that takes."""
        failures = 0
        while True:
            held = self._held(caller)
            if held is not None and held is not old:
                return held
            try:
                return await self._renew(caller)
            except ApiError as error:
                failures += 1
                self._metrics.refreshes_failed.inc()
                log.warning(
                    "token.refresh_failed",
                    agent_id=caller.agent_id,
                    user_id=caller.user_id,
                    why=str(error),
                    failures=failures,
                )
                refused = isinstance(error, RefusedError)
            jittered = retry.pause(failures, first=1, random=self._runtime.random)
            await self._clock.sleep(REFUSED_PAUSE if refused else jittered)


@dataclass(frozen=True, slots=True)
class UserBearer:
    """Calls in the name of a learner."""

    tokens: UserTokens
    caller: Caller

    async def jwt(self) -> Sealed:
        """Return the learner's JWT."""
        return (await self.tokens.current(self.caller)).jwt

    async def replacement(self, refused: SecretStr) -> Sealed | None:
        """Return the learner's JWT of a new exchange."""
        return (await self.tokens.after_refusal(self.caller, refused)).jwt

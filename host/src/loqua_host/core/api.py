"""The facade of the Loqua API, one object for all lessons."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from typing import Self

import httpx
import structlog

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode, Progress, SessionRecord
from loqua_host.errors import ConfigError, Problem, RefusedError, UnreachableError
from loqua_host.system.proxies import proxy_for
from loqua_host.system.tasks import forever

from . import retry, wire
from .cache import ContextCache
from .caller import Caller, Loaded
from .calls import Bearer, Calls
from .credentials import Credentials
from .degradation import Listener, Modes, fallback
from .endpoints import EndpointStatus
from .pools import Pools
from .runtime import Runtime
from .secrets import CoreSecret, SecretsPort
from .settings import CoreSettings
from .single_flight import SingleFlight, stop
from .transport import Transport
from .user_tokens import UserBearer, UserTokens
from .verdict import UNAUTHORIZED
from .versions import VersionStatus
from .wire import Status

__all__ = ["LoquaApi"]

log = structlog.get_logger()

Key = tuple[str, str]
"""The key of a context: the user and the agent that may see it."""


class LoquaApi:
    """Call the Loqua API on behalf of learners, for all lessons of this process.

    Methods that call the API raise RefusedError (or its TokenError) if the API refuses, and
    UnreachableError if it gives no usable response in time; `context` degrades instead.
    """

    def __init__(
        self,
        settings: CoreSettings,
        calls: Calls,
        credentials: Credentials,
        tokens: UserTokens,
        runtime: Runtime,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._credentials = credentials
        self._tokens = tokens
        self._runtime = runtime
        self._fetches: SingleFlight[Key, LearnerContext] = SingleFlight()
        self._cache: ContextCache[Key] = ContextCache(settings.cache, runtime.clock)
        self._metrics = runtime.metrics
        self._modes = Modes(self._without_api, runtime.metrics)
        # In Supabase, a record is known by its session: to insert it again changes nothing.
        self._in_supabase = settings.store.sessions == "supabase"
        self._repeatable = settings.honours_idempotency_keys or self._in_supabase

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: CoreSettings,
        secrets: SecretsPort,
        *,
        runtime: Runtime | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[Self]:
        """Yield the API for the length of a block; at its end every token is forgotten.

        Args:
            settings: The section `api:` of config/host.yaml.
            secrets: Where the agent's JWT and the shared secret are read.
            runtime: The clock, randomness and metrics to use.
            transport: What carries requests; a pool of connections, with HTTP/2, unless given.

        Raises:
            ConfigError: A secret is missing or cannot be read, or Supabase's client is missing.
        """
        for name in settings.secret_names:
            await _require(secrets, name)
        runtime = runtime or Runtime()
        credentials = Credentials(secrets, runtime.clock, settings.agent_token_warn_before)
        pools = Pools((lambda: transport) if transport else _connections_to(settings))
        async with (
            aclosing(pools),
            _watched(credentials),
            _open_stores(settings, secrets) as stores,
        ):
            calls = Calls(pools, settings, runtime, stores)
            tokens = UserTokens(calls, credentials, runtime, settings)
            api = cls(settings, calls, credentials, tokens, runtime)
            async with aclosing(tokens), aclosing(api._fetches):
                yield api

    async def lease(self, caller: Caller) -> None:
        """Acquire the caller's user token, or share the existing one, until `release`.

        If this raises, there is nothing to release.
        """
        await self._tokens.lease(caller)
        self._modes.begin(caller)

    async def lease_patiently(self, caller: Caller) -> None:
        """Wait until the API is reachable and lease, for a lesson that started in mock mode.

        The mode is then basic, and full once `context` has loaded the context. Cancel this if the
        lesson ends first.

        Raises:
            RefusedError: If the API is back and refuses.
        """
        before = self.mode(caller)
        for attempt in count(1):
            try:
                await self._tokens.lease(caller)
            except UnreachableError:
                pause = retry.pause(attempt, first=1, random=self._runtime.random)
                await self._runtime.clock.sleep(pause)
            else:
                self._modes.begin(caller, before)
                return

    def release(self, caller: Caller) -> None:
        """Release one lease; the last one forgets the token."""
        self._tokens.release(caller)
        if not self._tokens.leased(caller):
            self._modes.end(caller)

    async def context(self, caller: Caller) -> Loaded:
        """Return the learner's context: fetched, shared, cached, or empty, with its mode.

        Never raises UnreachableError.
        """
        key = _key(caller)
        fresh = self._cache.fresh(key)
        if fresh is not None:
            self._modes.given(caller, Mode.FULL)
            return self._loaded("cache", Loaded(fresh, self.mode(caller)))
        try:
            context = await self._fetches.join(key, lambda: self._fetch(caller))
        except UnreachableError:
            return self._degraded(caller)
        self._modes.given(caller, Mode.FULL)
        self._modes.reached(caller)
        return self._loaded("api", Loaded(context, Mode.FULL))

    def remembered(self, caller: Caller) -> Loaded:
        """Return the learner's cached context, if there is one, without calling the API."""
        context = self._cache.stale(_key(caller))
        return Loaded(context or LearnerContext(), self._without_api(caller))

    async def send_progress(
        self, caller: Caller, *, session_id: str, status: Status, progress: Progress, key: str
    ) -> None:
        """Update the learner's progress, which is idempotent because progress is cumulative."""
        with self._noticed(caller):
            request = wire.progress_request(caller, session_id, status, progress, key)
            await self._calls.send(request, self._learner(caller))

    async def create_session(
        self, caller: Caller, record: SessionRecord, *, key: str, started_at: float | None = None
    ) -> None:
        """Create the record of a lesson.

        Args:
            caller: The learner, room and agent.
            record: The record.
            key: The idempotency key.
            started_at: When the lesson began, in Unix seconds; v1 does not take it.

        Raises:
            UnreachableError: If its `sent` is true, ask `session_known` before calling again.
        """
        with self._noticed(caller):
            request = wire.session_request(
                caller,
                record,
                key,
                repeatable=self._repeatable,
                started_at=started_at,
            )
            await self._create_session(caller, request)
        self._cache.mark_stale(_key(caller))

    async def session_known(self, caller: Caller, session_id: str) -> bool:
        """Fetch the learner's history and return whether it has that session.

        If it cannot be fetched but the API honours idempotency keys, return False, which is safe.
        So it is for records in Supabase.
        """
        if self._in_supabase:
            return False
        try:
            with self._noticed(caller):
                context = await self._fetch(caller)
        except RefusedError as refusal:
            if self._settings.honours_idempotency_keys and _lacks_token(refusal):
                return False
            raise
        return any(past.session_id == session_id for past in context.session_history)

    async def check_health(self, caller: Caller) -> frozenset[str]:
        """Return the agent's permissions.

        Raises:
            RefusedError: One that `api.required_permissions` names is missing.
        """
        with self._noticed(caller):
            request = wire.health_request(caller, self._runtime.idempotency_key())
            permissions = await self._calls.send(request, self._learner(caller))
        missing = sorted(self._settings.required_permissions - permissions)
        if missing:
            raise RefusedError(
                "health",
                f"the agent {caller.agent_id} lacks {', '.join(missing)}: have the Loqua admin "
                "grant it, or take it out of api.required_permissions",
            )
        return permissions

    def mode(self, caller: Caller) -> Mode:
        """Return the caller's current mode."""
        return self._modes.of(caller)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(caller, mode)` at every change."""
        self._modes.subscribe(listener)

    def endpoints(self) -> Mapping[str, EndpointStatus]:
        """Return the status of the endpoints that have been called, by name."""
        return self._calls.endpoints()

    @property
    def version(self) -> VersionStatus:
        """The version of the API in use, and what is known of its end."""
        return self._calls.version

    async def agent_token_seconds_left(self) -> float | None:
        """Return the seconds until AGENT_JWT_TOKEN expires, or None if unknown."""
        return await self._credentials.seconds_left()

    def user_token_seconds_left(self) -> float | None:
        """Return the seconds until the first user token expires, or None without any."""
        return self._tokens.seconds_left()

    async def _create_session(self, caller: Caller, request: wire.Request[None]) -> None:
        # The service writes to Supabase, whose role needs no JWT; that of a learner may be gone.
        access = "service" if self._in_supabase else self._settings.access.sessions
        bearer: Bearer = self._credentials if access == "service" else self._learner(caller)
        try:
            await self._calls.send(request, bearer)
        except RefusedError as refusal:
            if access != "user_then_service" or not _lacks_token(refusal):
                raise
            log.warning(
                "session.recorded_by_service",
                agent_id=caller.agent_id,
                user_id=caller.user_id,
                why=str(refusal),
            )
            await self._calls.send(request, self._credentials)

    async def _fetch(self, caller: Caller) -> LearnerContext:
        try:
            context = await self._calls.send(wire.context_request(caller), self._learner(caller))
        except RefusedError:
            self._cache.drop(_key(caller))
            raise
        self._cache.store(_key(caller), context)
        return context

    def _degraded(self, caller: Caller) -> Loaded:
        stale = self._cache.stale(_key(caller))
        loaded = Loaded(stale or LearnerContext(), self._modes.lost(caller))
        self._modes.given(caller, Mode.BASIC if stale is None else Mode.CACHE)
        return self._loaded("nowhere" if stale is None else "stale", loaded)

    def _loaded(self, source: str, loaded: Loaded) -> Loaded:
        self._metrics.context_loads.labels(source).inc()
        log.debug("context.loaded", source=source, mode=loaded.mode)
        return loaded

    def _learner(self, caller: Caller) -> UserBearer:
        return UserBearer(self._tokens, caller)

    @contextmanager
    def _noticed(self, caller: Caller) -> Iterator[None]:
        try:
            yield
        except UnreachableError:
            self._modes.lost(caller)
            raise
        self._modes.reached(caller)

    def _without_api(self, caller: Caller) -> Mode:
        cached = self._cache.stale(_key(caller)) is not None
        return fallback(cached=cached, token=self._tokens.usable(caller))


@asynccontextmanager
async def _open_stores(
    settings: CoreSettings, secrets: SecretsPort
) -> AsyncIterator[Mapping[str, Transport]]:
    """Yield where calls are answered in the API's place, by endpoint."""
    if not settings.store.in_supabase:
        yield {}
        return
    try:
        from .supabase import open_supabase  # noqa: PLC0415  # its client is an extra
    except ImportError as error:
        what, hint = f"needs a client ({error})", "install loqua-host[postgres]"
        raise ConfigError([Problem("api.store", what, hint)]) from None
    async with open_supabase(settings, secrets) as supabase:
        yield dict.fromkeys(settings.store.in_supabase, supabase)


def _lacks_token(refusal: RefusedError) -> bool:
    """Return whether the call was refused because of the learner's JWT, not its permissions."""
    return refusal.endpoint == "user-token" or refusal.status == UNAUTHORIZED


def _key(caller: Caller) -> Key:
    return caller.user_id, caller.agent_id


async def _require(secrets: SecretsPort, name: CoreSecret) -> None:
    try:
        await secrets.read(name)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever keeps secrets is not ours
        what, hint = f"cannot be read ({type(error).__name__})", "see secrets: in config/host.yaml"
        raise ConfigError([Problem(name.value, what, hint)]) from None


@asynccontextmanager
async def _watched(credentials: Credentials) -> AsyncIterator[None]:
    watcher = asyncio.create_task(forever(credentials.watch))
    try:
        yield
    finally:
        await stop([watcher])


def _connections_to(settings: CoreSettings) -> Callable[[], httpx.AsyncBaseTransport]:
    """Return what makes pools of connections to the API.

    They have no client, which would take a fifth of a call's time. No learner's call carries what
    another's brought, so that there must be no cookies; no redirect is followed and no challenge
    answered, and no password in a URL or a netrc file stands in for a JWT.
    """
    # At DEBUG, hpack logs each header block, including the JWT.
    logging.getLogger("hpack").setLevel(logging.INFO)
    return partial(
        httpx.AsyncHTTPTransport,
        http2=True,
        verify=httpx.create_ssl_context(),  # once: to read the authorities takes a while
        proxy=proxy_for(str(settings.api_base_url)),
        trust_env=False,  # its own reading of NO_PROXY differs
        limits=httpx.Limits(
            max_connections=settings.pool_size, max_keepalive_connections=settings.pool_size
        ),
    )

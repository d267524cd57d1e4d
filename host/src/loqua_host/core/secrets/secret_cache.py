"""A cache of secrets that follows rotations and survives an outage of their source."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from loqua_host.core.clock import Clock
from loqua_host.errors import SecretsError

from .lookup import look_up
from .port import Sealed, Secret, SecretsSource

__all__ = ["SecretCache"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _CachedSecret:
    secret: Secret
    looked_up: float
    """The start of the look-up, in monotonic seconds."""


async def _nothing() -> None:
    """Notify nobody."""


class SecretCache:
    """Cache secrets and refresh them. Each look-up is logged, values never are.

    When a secret has changed, its old value stays as the previous one: the API may still use
    it. When the place gives no answer, or what cannot be used, the last value stays.

    Args:
        source: Where the secrets are.
        variables: By which variable each is looked up.
        secrets: What they were at the first look-up.
        clock: When a look-up began, and the pause between two.
        interval: Seconds between two look-ups; infinite where nothing can change.

    Attributes:
        failures: Look-ups so far that failed.
    """

    def __init__(
        self,
        source: SecretsSource,
        variables: Mapping[str, str],
        secrets: Mapping[str, Secret],
        clock: Clock,
        interval: float,
    ) -> None:
        self._source = source
        self._variables = dict(variables)
        self._clock = clock
        self._interval = interval
        self.failures = 0
        began = clock.monotonic()
        self._entries = {name: _CachedSecret(secret, began) for name, secret in secrets.items()}
        self._locks = {name: asyncio.Lock() for name in secrets}

    async def read(self, name: str, *, fresh: bool = False) -> Secret:
        """Return the secret as it was last seen; when `fresh`, after a look-up that begins now."""
        if fresh:
            await self._look_up(name)
        return self.get(name)

    def get(self, name: str) -> Secret:
        """Return the secret as it was last seen.

        Raises:
            KeyError: No such secret is cached.
        """
        return self._entries[name].secret

    def values(self, name: str) -> tuple[Sealed, ...]:
        """Return the values of a secret as last seen, newest first; none if it is not cached."""
        entry = self._entries.get(name)
        return entry.secret.values() if entry else ()

    def add(self, name: str, secret: Secret) -> None:
        """Add a secret, which is looked up by its own name."""
        self._variables[name] = name
        self._entries[name] = _CachedSecret(secret, self._clock.monotonic())
        self._locks[name] = asyncio.Lock()
        self._notify(name, changed=False)

    async def watch(self, then: Callable[[], Awaitable[None]] = _nothing) -> None:
        """Report the first look-up, then look all secrets up at every interval.

        Args:
            then: Awaited each time that all have been looked up.
        """
        for name in tuple(self._variables):
            self._notify(name, changed=False)
        while True:
            await self._clock.sleep(self._interval)
            for name in tuple(self._variables):
                await self._look_up(name)
            await then()

    async def _look_up(self, name: str) -> None:
        asked = self._clock.monotonic()
        async with self._locks[name]:
            entry = self._entries[name]
            if entry.looked_up >= asked:
                return  # Another task's look-up began after this one was requested.
            began = self._clock.monotonic()
            try:
                found = await asyncio.to_thread(look_up, self._source, self._variables[name])
            except SecretsError as error:
                self._miss(name, str(error))
                found = entry.secret
            else:
                found = self._follow(name, entry.secret, found)
            self._entries[name] = _CachedSecret(found, began)

    def _follow(self, name: str, known: Secret, found: Secret | None) -> Secret:
        if found is None:
            self._miss(name, "it is not there any more")
            return known
        changed = found.current != known.current
        self._notify(name, changed=changed)
        before = known.current if changed else known.previous
        return found if found.previous else replace(found, previous=before)

    def _notify(self, name: str, *, changed: bool) -> None:
        log.info("secret.read", secret=name, place=self._source.place, changed=changed)

    def _miss(self, name: str, why: str) -> None:
        self.failures += 1
        log.warning("secret.refresh_failed", secret=name, place=self._source.place, why=why)

"""The agent's own secrets: its JWT, watched for expiry, and the secret shared with the API."""

import structlog
from pydantic import SecretStr

from loqua_host.errors import LoquaError, UnreachableError
from loqua_host.observability.faults import log_fault

from .clock import Clock
from .secrets import CoreSecret, Sealed, Secret, SecretsPort
from .tokens import read_claims

__all__ = ["Credentials"]

log = structlog.get_logger()

WATCH_SECONDS = 3600


class Credentials:
    """Read the agent's secrets at every use, so that a rotation needs no restart.

    If a secret cannot be read, raise UnreachableError, like in any other outage.
    """

    def __init__(self, secrets: SecretsPort, clock: Clock, warn_before: float) -> None:
        self._secrets = secrets
        self._clock = clock
        self._warn_before = warn_before

    async def jwt(self) -> Sealed:
        """Return the agent's JWT."""
        return (await self._read(CoreSecret.AGENT_JWT_TOKEN)).current

    async def replacement(self, refused: SecretStr) -> Sealed | None:
        """Return another JWT than the one that the API refused, if a rotation has left one."""
        secret = await self._read(CoreSecret.AGENT_JWT_TOKEN, fresh=True)
        return next((value for value in secret.values() if value != refused), None)

    async def shared_secrets(self, *, fresh: bool = False) -> tuple[Sealed, ...]:
        """Return the possible keys of user tokens, newest first."""
        return (await self._read(CoreSecret.SHARED_SECRET, fresh=fresh)).values()

    async def seconds_left(self) -> float | None:
        """Return the seconds until the agent's JWT expires, or None if unknown."""
        try:
            return read_claims(await self.jwt()).exp - self._clock.now()
        except LoquaError:
            return None

    async def watch(self) -> None:
        """Log the remaining lifetime of the agent's JWT every hour, as a warning if it is short."""
        while True:
            left = await self.seconds_left()
            if left is not None:
                log_left = log.warning if left < self._warn_before else log.debug
                log_left("agent_token.watched", seconds_left=round(left))
            await self._clock.sleep(WATCH_SECONDS)

    async def _read(self, name: CoreSecret, *, fresh: bool = False) -> Secret:
        try:
            return await self._secrets.read(name, fresh=fresh)
        except LoquaError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  # whatever keeps secrets is not ours
            log_fault("secrets", error, secret=name.value)
            why = type(error).__name__
        raise UnreachableError("secrets", f"{name} cannot be read: {why}", sent=False)

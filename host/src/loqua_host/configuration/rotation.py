"""Rotation of secrets that clients hold for longer than one use."""

import structlog

from loqua_host.errors import RoomsError
from loqua_host.lessons.services import Services
from loqua_host.settings.secrets import HostSecrets
from loqua_host.system.tasks import forever
from loqua_host.workers.supervisor import Supervisor

__all__ = ["Rotation"]

log = structlog.get_logger()


class Rotation:
    """Pass rotated keys to the clients that hold them.

    Args:
        secrets: The latest secrets.
        services: The rooms, which use LiveKit's API key, and the ledger, which has its own key.
        supervisor: The workers, which use LiveKit's API key.

    Attributes:
        refused_key: Why LiveKit's current API key is not used; None if it is.
    """

    def __init__(
        self,
        secrets: HostSecrets,
        services: Services,
        supervisor: Supervisor,
    ) -> None:
        self._secrets = secrets
        self._rooms = services.rooms
        self._supervisor = supervisor
        self._ledger = services.ledger
        self._tasks = services.tasks
        self._clock = services.clock
        self._settings = services.settings
        self.refused_key: str | None = None

    async def follow(self) -> None:
        """Use the latest keys; call this after secrets have been read."""
        self._follow_ledger_key()
        await self._follow_livekit_key()

    def _follow_ledger_key(self) -> None:
        if self._ledger.use_keys(self._secrets.ledger.open_keys()):
            log.info("ledger.key_changed")
            self._tasks.create_task(forever(self._reencrypt))

    async def _reencrypt(self) -> None:
        """Re-encrypt the data of all hosts, once they also have the new key."""
        await self._clock.sleep(2 * self._settings().secrets.interval)
        await self._ledger.reencrypt()

    async def _follow_livekit_key(self) -> None:
        """Switch every client to the new LiveKit key once LiveKit accepts it."""
        key = self._secrets.livekit()
        if key == self._rooms.key:
            if self.refused_key is not None:
                self.refused_key = None
                log.info("livekit.key_withdrawn")
            return
        try:
            await self._rooms.use_key(key)
        except RoomsError as error:
            hint = "add the new key to LiveKit's keys:, and store its key and its secret"
            log.warning("livekit.key_refused", why=str(error), hint=hint)
            self.refused_key = str(error)
            return
        self.refused_key = None
        self._supervisor.use_key(key)
        log.info("livekit.key_changed")

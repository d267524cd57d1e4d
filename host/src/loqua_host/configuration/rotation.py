"""What the host does when it has seen that a secret was rotated, beside using the new one."""

import structlog

from loqua_host.errors import RoomsError
from loqua_host.lessons.services import Services
from loqua_host.settings.secrets import HostSecrets
from loqua_host.system.tasks import forever
from loqua_host.workers.supervisor import Supervisor

__all__ = ["Rotation"]

log = structlog.get_logger()


class Rotation:
    """Has everybody follow the keys that are held for longer than a use.

    Args:
        secrets: The secrets as they were last seen.
        services: The rooms, which use LiveKit's key, and the ledger, which has a key of its own.
        supervisor: The workers, which use LiveKit's key.

    Attributes:
        refused_key: Why LiveKit's key is not used as secrets have it; None if it is.
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
        """Use the keys as they were last seen; to be called when they have been looked up."""
        self._follow_ledger_key()
        await self._follow_livekit_key()

    def _follow_ledger_key(self) -> None:
        if self._ledger.use_keys(self._secrets.ledger.open_keys()):
            log.info("ledger.key_adopted")
            self._tasks.create_task(forever(self._reencrypt))

    async def _reencrypt(self) -> None:
        """Re-encrypt what all hosts have written, once they know the new key, too."""
        await self._clock.sleep(2 * self._settings().secrets.interval)
        await self._ledger.reencrypt()

    async def _follow_livekit_key(self) -> None:
        """Give every client the new LiveKit key once LiveKit accepts it."""
        key = self._secrets.livekit()
        if key == self._rooms.key:
            if self.refused_key is not None:
                self.refused_key = None
                log.info("livekit.key_withdrawn")
            return
        try:
            await self._rooms.adopt(key)
        except RoomsError as error:
            hint = "add the new key to LiveKit's keys: and have both of its parts where secrets are"
            log.warning("livekit.key_refused", why=str(error), hint=hint)
            self.refused_key = str(error)
            return
        self.refused_key = None
        self._supervisor.adopt(key)
        log.info("livekit.key_adopted")

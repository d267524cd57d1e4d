"""config/ as it changes under a running host: read whole, and refused or applied whole."""

import asyncio
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Protocol

import structlog
from watchfiles import awatch

from loqua_host.errors import ConfigError
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.settings.changes import adopt, changed_keys
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.system.tasks import forever, supervised
from loqua_host.workers.supervisor import Supervisor
from loqua_host.workers.tutors import Changes, compare
from loqua_host.workers.worker import TutorWorker

from .configuration import Configuration, Configured, PluginVersions

__all__ = ["Reload", "Running"]

log = structlog.get_logger()

SETTLED_MS = 300
"""Milliseconds without a change in config/ after which whoever writes there has finished."""


@dataclass(slots=True)
class Running:
    """What the host runs by; a reload changes it, and nothing else does."""

    settings: HostSettings
    secrets: HostSecrets
    tutors: dict[str, RunningTutor] = field(default_factory=dict)


class WorkerFactory(Protocol):
    """Makes what runs for a configuration."""

    def running_tutors(
        self, settings: HostSettings, secrets: HostSecrets, versions: PluginVersions
    ) -> dict[str, RunningTutor]:
        """Return the tutors to run, by name."""

    def build_worker(self, tutor: RunningTutor) -> TutorWorker:
        """Return a worker for a tutor, not started yet."""


class Reload:
    """Staffs the host as config/ says, at its start and whenever that changes.

    Args:
        configuration: What is read again.
        first: What it said at the start.
        running: What the host runs by.
        supervisor: Who hires, replaces and retires workers.
        factory: Makes the tutors to run and their workers.

    Attributes:
        stale_config: Why the host does not run what config/ says; None if it does.
    """

    def __init__(
        self,
        configuration: Configuration,
        first: Configured,
        running: Running,
        supervisor: Supervisor,
        factory: WorkerFactory,
    ) -> None:
        self._configuration = configuration
        self._running = running
        self._supervisor = supervisor
        self._factory = factory
        self._versions = first.versions
        self.stale_config: str | None = None
        self._last: tuple[HostSettings, PluginVersions] | None = (first.written, first.versions)
        if first.problems:  # They may be repaired in a plugin, of which config/ says nothing.
            self._last = None
            self.stale_config = str(first.problems[-1][1])

    async def start_all(self) -> None:
        """Start the workers that the host begins with."""
        running = self._running
        await self._take(running.settings, running.secrets, self._versions)

    async def run(self, due: asyncio.Event) -> None:
        """Reload config/ whenever it changes or `due` is set, until cancelled."""
        async with supervised() as tasks:
            tasks.create_task(forever(partial(self._watch, due)))
            due.set()  # It may have changed since it was read at the start.
            while True:
                await due.wait()
                due.clear()
                await self.look()

    async def look(self) -> None:
        """Read config/ once and apply it if it is another one and sound."""
        try:
            read = await self._read()
        except ConfigError as error:
            self._last = None
            self.stale_config = str(error.problems[-1])
            for problem in error.problems:
                log.error("config.refused", why=str(problem))
            return
        if read is not None:
            await self._apply(read)

    async def _watch(self, due: asyncio.Event) -> None:
        try:
            async for _ in awatch(self._configuration.path, step=SETTLED_MS):
                due.set()
        except (OSError, RuntimeError) as error:
            hint = "send SIGHUP after a change, or raise fs.inotify.max_user_watches"
            log.warning("config.not_watched", why=str(error), hint=hint)

    async def _read(self) -> Configured | None:
        """Read and inspect; None if it is what was read last.

        Raises:
            ConfigError: With all that is wrong with it.
        """
        settings, secrets = await asyncio.to_thread(self._configuration.read)
        now = settings, self._configuration.versions(settings)
        if now == self._last:
            return None
        read = await self._configuration.inspect(settings, secrets)
        if read.problems:
            raise ConfigError([problem for _, problem in read.problems])
        self._last = now
        return read

    async def _apply(self, read: Configured) -> None:
        running = self._running
        settings, waiting = adopt(running.settings, read.sound)
        secrets = running.secrets.including(read.secrets)
        keys = changed_keys(running.settings, settings)
        changes = await self._take(settings, secrets, read.versions)
        moved = {"keys": keys, **asdict(changes)}
        told = {what: ", ".join(names) for what, names in moved.items() if names}
        self.stale_config = None
        log.info("config.reloaded", **told)
        if waiting:
            self.stale_config = why = f"read at the start alone: {', '.join(waiting)}"
            log.warning("config.needs_restart", why=why, hint="restart the host")

    async def _take(
        self, settings: HostSettings, secrets: HostSecrets, versions: PluginVersions
    ) -> Changes:
        """Run by other settings from now on; gives what that changed among the tutors."""
        running = self._running
        tutors = self._factory.running_tutors(settings, secrets, versions)
        changes = compare(running.tutors, tutors)
        running.settings, running.secrets, running.tutors = settings, secrets, tutors
        drain = settings.lessons.tutor_drain_timeout
        for name in changes.disabled:
            self._supervisor.drain(name, "tutor_disabled", drain)
        for name in changes.enabled:
            self._supervisor.start(self._factory.build_worker(tutors[name]))
        async with asyncio.TaskGroup() as tasks:
            for name in changes.changed:
                worker = self._factory.build_worker(tutors[name])
                tasks.create_task(self._supervisor.replace(worker, "tutor_changed", drain))
        return changes

"""Reloading of config/ in a running host: validated as a whole, then applied as a whole."""

import asyncio
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Protocol

import structlog
from watchfiles import awatch

from loqua_host.errors import ConfigError
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.settings.changes import apply_changes, changed_keys
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
"""Milliseconds without a change after which an edit of config/ counts as complete."""


@dataclass(slots=True)
class Running:
    """The effective settings and tutors, changed only by a reload."""

    settings: HostSettings
    secrets: HostSecrets
    tutors: dict[str, RunningTutor] = field(default_factory=dict)


class WorkerFactory(Protocol):
    """The factory of tutors and workers for a configuration."""

    def running_tutors(
        self, settings: HostSettings, secrets: HostSecrets, versions: PluginVersions
    ) -> dict[str, RunningTutor]:
        """Return the tutors to run, by name."""

    def build_worker(self, tutor: RunningTutor) -> TutorWorker:
        """Return a worker for a tutor without starting it."""


class Reload:
    """Start, replace and drain workers as config/ says, at the start and after changes.

    Args:
        configuration: The configuration to read again.
        first: The configuration at the start.
        running: The effective settings and tutors.
        supervisor: Starts, replaces and drains workers.
        factory: Creates tutors and workers.

    Attributes:
        stale_config: Why the host does not run the current config/; None if it does.
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
        if first.problems:  # A new plugin version may fix them without a change of config/.
            self._last = None
            self.stale_config = str(first.problems[-1][1])

    async def start_all(self) -> None:
        """Start the initial workers."""
        running = self._running
        await self._take(running.settings, running.secrets, self._versions)

    async def run(self, due: asyncio.Event) -> None:
        """Reload config/ whenever it changes or `due` is set, until cancelled."""
        async with supervised() as tasks:
            tasks.create_task(forever(partial(self._watch, due)))
            due.set()  # config/ may have changed since it was read at the start.
            while True:
                await due.wait()
                due.clear()
                await self.look()

    async def look(self) -> None:
        """Read config/ once, and apply it if it has changed and is valid."""
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
        """Read and inspect config/; return None if it has not changed.

        Raises:
            ConfigError: With all problems.
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
        settings, waiting = apply_changes(running.settings, read.sound)
        secrets = running.secrets.including(read.secrets)
        keys = changed_keys(running.settings, settings)
        changes = await self._take(settings, secrets, read.versions)
        moved = {"keys": keys, **asdict(changes)}
        moved_names = {what: ", ".join(names) for what, names in moved.items() if names}
        self.stale_config = None
        log.info("config.reloaded", **moved_names)
        if waiting:
            self.stale_config = why = f"read only at the start: {', '.join(waiting)}"
            log.warning("config.needs_restart", why=why, hint="restart the host")

    async def _take(
        self, settings: HostSettings, secrets: HostSecrets, versions: PluginVersions
    ) -> Changes:
        """Apply other settings, and return the changes of tutors."""
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

"""`loqua-host run`: the production process."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from loqua_host.configuration.configuration import Configuration
from loqua_host.errors import ConfigError, LedgerError
from loqua_host.livekit_inference import CLIENT
from loqua_host.observability.redaction import report_uncaught
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.start import refuse_start
from loqua_host.settings.variables import read_environ
from loqua_host.system.process import forkserver_ended, start_forkserver, take_startup_environ
from loqua_host.system.sandbox import is_possible, sandbox_gaps
from loqua_host.system.tasks import background
from loqua_host.system.zygote import Zygote

if TYPE_CHECKING:  # `_serve` imports it after the fork
    from loqua_host.host import Signals

__all__ = ["run"]

log = structlog.get_logger()


def run(config: Path, zygote: Zygote | None) -> int:
    """Run the host until a signal stops it; return the exit code.

    The order matters: secrets are removed from the environment before any process is forked, and
    read after the zygote was.
    """
    configuration = Configuration(config, take_startup_environ(["run", "--config", str(config)]))
    try:
        settings, secrets = configuration.read()
        refuse_start(config, settings)
        start_forkserver(_preload(settings), configuration.protected(settings), zygote)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201  # logs are not configured yet
        return 1
    return asyncio.run(_serve(configuration, settings, secrets))


def _preload(settings: HostSettings) -> list[str]:
    """List the modules that all jobs share: their own code and the configured engines.

    LiveKit's client for hosted models, which takes a third of a second to import, is among them if
    any tutor or engine has a secret: without a key, no hosted model answers.
    """
    tutors = settings.enabled_tutors
    engines = [engine for tutor in tutors for engine in settings.engines_for(tutor).all()]
    modules = {engine.use.partition(":")[0] for engine in engines}
    if any(tutor.secrets for tutor in tutors) or any(engine.secrets for engine in engines):
        modules.add(CLIENT)
    return [
        "loqua_host.job.process",
        "loqua_host.announcements.player",
        "loqua_host.announcements.synthesis",
        *sorted(modules),
        "loqua_host.job.preload",
        "loqua_host.job.preload_openai",
    ]


async def _serve(configuration: Configuration, settings: HostSettings, secrets: HostSecrets) -> int:
    # After the start of the forkserver: its children import the tutors while this imports the host.
    inspecting = asyncio.create_task(configuration.inspect(settings, secrets))
    await asyncio.to_thread(import_module, "loqua_host.host")
    from loqua_host.core.clock import SystemClock  # noqa: PLC0415
    from loqua_host.host import Signals, run_host  # noqa: PLC0415
    from loqua_host.lessons.tracing import open_traces  # noqa: PLC0415
    from loqua_host.ops.logs import configure_logs  # noqa: PLC0415
    from loqua_host.ops.recent_errors import RecentErrors  # noqa: PLC0415

    recent_errors = RecentErrors(SystemClock().monotonic)
    configure_logs(
        settings.logs.format,
        settings.logs.level,
        processors=[recent_errors],
        agent_id=settings.agent_id,
    )
    report_uncaught()
    signals = Signals(asyncio.Event(), asyncio.Event(), asyncio.Event())
    _handle_signals(signals)
    _say_what_jobs_can_do(configuration.protected(settings))
    for problem in configuration.advice(secrets):
        log.warning("config.insecure", where=problem.where, why=problem.what, hint=problem.hint)
    configured = await inspecting
    for tutor, problem in configured.problems:
        log.error("tutor.refused", tutor=tutor, why=str(problem))
    if not configured.sound.tutors:
        log.error("host.refused", why="no enabled tutor can run")
        return 1
    async with background() as tasks:
        forkserver = tasks.create_task(_watch_forkserver(signals))
        try:
            environ = read_environ(configuration.path, configuration.environ)
            with open_traces(environ) as traced:
                await run_host(configuration, configured, signals, recent_errors, traced=traced)
        except (ConfigError, LedgerError) as error:
            log.error("host.refused", why=str(error))
            return 1
        return int(forkserver.done())


def _handle_signals(signals: "Signals") -> None:
    """Handle signals: SIGTERM or Ctrl-C drains, a second one stops at once, SIGHUP reloads."""
    loop, count_signals = asyncio.get_running_loop(), count()

    def stop() -> None:
        signals.stop.set()
        if next(count_signals):
            signals.force_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, signals.reload.set)


async def _watch_forkserver(signals: "Signals") -> None:
    """Stop the host at once when the forkserver dies, so that its supervisor restarts it.

    Without a forkserver, no job can start. The restarted host resumes the running lessons.
    """
    with suppress(OSError):  # raised if it has already ended
        await forkserver_ended()
    log.error("forkserver.died", hint="the host exits with status 1 and must be restarted")
    signals.stop.set()
    signals.force_stop.set()


def _say_what_jobs_can_do(protected: Sequence[Path]) -> None:
    """Log what the kernel cannot keep tutors from."""
    if protected and not is_possible():
        why = "without Landlock, jobs can read files with the host's secrets"
        log.warning("jobs.not_confined", why=why, hint="use Linux 5.13 or later, or a vault")
    if gaps := sandbox_gaps():
        why = f"this machine does not restrict jobs in {', '.join(gaps)}"
        log.warning("sandbox.incomplete", why=why, hint="run only tutors that you trust")

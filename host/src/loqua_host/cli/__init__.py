"""The command line, `loqua-host`."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from loqua_host.dev.screen import fitted
from loqua_host.errors import LoquaError
from loqua_host.settings.templates import TEMPLATES, write_templates
from loqua_host.system.process import take_startup_environ

from . import records, region
from . import run as running
from .config import CONFIG, Config, existing
from .new_tutor import NewTutorError, write_tutor

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run LiveKit language tutors in one host process.",
)

app.add_typer(records.app, name="records")
app.add_typer(region.app, name="region")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"loqua-host {metadata.version('loqua-host')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version, which is also the version of the contract with tutors.",
        ),
    ] = False,
) -> None:
    """Handle the options that precede a command."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="The directory, created if needed.")] = CONFIG,
) -> None:
    """Write an initial config/. Existing files are kept."""
    try:
        written = dict(write_templates(directory))
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}; name another directory") from None
    for path, new in written.items():
        typer.echo(f"{'wrote' if new else 'kept '} {path}")
    check = shlex.join(("loqua-host", "check", "--config", str(directory)))
    typer.echo(f"Set the variables that {directory / 'README.md'} lists, then run: {check}")


@app.command()
def new_tutor(
    name: Annotated[
        str, typer.Argument(help="Lower-case words joined by hyphens, such as word-games.")
    ],
    directory: Annotated[Path, typer.Argument(help="Where to create loqua-tutor-NAME.")] = Path(),
) -> None:
    """Write a new tutor: a distribution with settings, tests that pass, and a CI example."""
    try:
        written = write_tutor(name, directory)
    except NewTutorError as error:
        raise SystemExit(str(error)) from None
    typer.echo(f"wrote {written}")
    typer.echo(f"cd {shlex.quote(str(written))}, then run its tests:")
    typer.echo("  pip install --editable . && pytest     # or: uv run pytest")


@app.command()
def console(
    tutor: Annotated[
        str, typer.Argument(help="The tutor's plugin, or a LiveKit agent as module:Class.")
    ],
    *,
    language: Annotated[
        str, typer.Option(help="The language taught, as an ISO 639-1 code.")
    ] = "en",
    settings: Annotated[
        Path | None, typer.Option(help="A YAML file with the tutor's settings.")
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(help="A language model, as module:Class (livekit.plugins.openai:LLM)."),
    ] = None,
) -> None:
    """Talk with a tutor in the terminal by typing: no server, no sound."""
    with _extras():
        from .console import run_console  # noqa: PLC0415  # its parts are extras

    try:
        run_console(tutor, language, settings, llm)
    except LoquaError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def replay(
    session_id: Annotated[str, typer.Argument(help="The lesson's session id, as in the log.")],
    config: Config = CONFIG,
    *,
    output: Annotated[
        Path | None, typer.Option(help="Write the lesson as a script of the test kit there.")
    ] = None,
) -> None:
    """Play a captured lesson with the tutor as it is now; write a failing test if it differs."""
    environ = take_startup_environ(sys.argv[1:])
    with _extras():
        from .replay import replay_lesson  # noqa: PLC0415  # its parts are extras

    try:
        raise SystemExit(replay_lesson(session_id, config, environ, output))
    except LoquaError as error:
        raise SystemExit(str(error)) from None


@app.command()
def run(context: typer.Context, config: Config = CONFIG) -> None:
    """Run the tutors that config/ enables, until SIGTERM or Ctrl-C."""
    raise SystemExit(running.run(config, context.obj))


@app.command()
def check(
    config: Annotated[
        Path, typer.Option(help="The configuration directory; a tutor's check needs none.")
    ] = CONFIG,
    *,
    tutor: Annotated[
        str | None,
        typer.Option(
            help="Check only this tutor, by its plugin or as module:Class, in a lesson, too."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print each setting and its source.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="Also try every service that a lesson needs."),
    ] = False,
    learner: Annotated[
        str | None,
        typer.Option(
            help="With --live: the user id of a test learner. "
            "The check exchanges a token and records a session for this learner."
        ),
    ] = None,
) -> None:
    """Print what would run, and every mistake with its remedy."""
    if tutor is None:
        existing(config)
    # Sealed, since the plugins it looks at could read the secrets of a parent that is not.
    environ = take_startup_environ(sys.argv[1:])
    if tutor is not None:
        with _extras():
            import fastapi  # noqa: F401, PLC0415  # what the lesson's own process imports

        from .check_tutor import check_tutor  # noqa: PLC0415  # only `run` must start lean

        raise SystemExit(check_tutor(tutor, config, environ))
    from .check import check_config  # noqa: PLC0415  # only `run` must start lean

    status = check_config(config, environ, explained=explain)
    if live:
        from .live import check_live  # noqa: PLC0415  # LiveKit is slow to import

        status |= check_live(config, environ, learner)
    raise SystemExit(status)


@app.command()
def drain(
    config: Config = CONFIG,
    *,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for running lessons to end.")
    ] = 7200,
) -> None:
    """Drain the running host: it accepts no more lessons, and the running ones continue."""
    from .drain import drain_host  # noqa: PLC0415  # only `run` must start lean

    raise SystemExit(drain_host(config, take_startup_environ(sys.argv[1:]), wait))


@app.command()
def demo(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration directory; without one, the defaults of `init`.",
            callback=existing,
        ),
    ] = None,
    *,
    once: Annotated[
        bool,
        typer.Option(
            help="Stop after the lessons and print the records as JSON. "
            "Exit with 0 only if they match what the learners said."
        ),
    ] = False,
) -> None:
    """Run lessons of the installed tutors with synthetic learners, all on this machine."""
    with _extras():
        from loqua_host.dev.demo import run_demo  # noqa: PLC0415  # its parts are extras

    stream = sys.stderr if once else sys.stdout

    def say(line: str) -> None:
        shown = fitted(line, shutil.get_terminal_size().columns) if stream.isatty() else line
        typer.echo(shown, file=stream)

    chosen = config or (CONFIG if CONFIG.is_dir() else TEMPLATES)
    raise SystemExit(_run(run_demo(chosen, once=once, say=say)))


@app.command()
def top(
    config: Config = CONFIG,
    *,
    tutor: Annotated[str | None, typer.Option(help="Show this tutor only.")] = None,
    once: Annotated[bool, typer.Option(help="Print the status once and exit.")] = False,
) -> None:
    """Watch a running host: the status page in the terminal. Stop with Ctrl-C."""
    from .top import watch_host  # noqa: PLC0415  # only `run` must start lean

    raise SystemExit(watch_host(config, take_startup_environ(sys.argv[1:]), tutor, once=once))


@app.command()
def timeline(
    room: Annotated[str, typer.Argument(help="The name of the room, as in the log.")],
    config: Config = CONFIG,
) -> None:
    """Print turns, latencies and tool calls of a room's lessons, in development."""
    from .timeline import follow_room  # noqa: PLC0415  # only `run` must start lean

    raise SystemExit(
        _run(follow_room(config, take_startup_environ(sys.argv[1:]), room, say=typer.echo))
    )


@app.command()
def devapi(
    port: Annotated[int, typer.Option(help="The port to listen on, 0 for a free one.")] = 8080,
    *,
    v1_sunset: Annotated[
        datetime | None,
        typer.Option(help="When v1 ends, UTC; announced six months ahead.", formats=["%Y-%m-%d"]),
    ] = None,
) -> None:
    """Serve a Loqua API for development. Secrets come from the variables, or are generated."""
    with _extras():
        from loqua_host.dev.devapi import run_devapi  # noqa: PLC0415  # its parts are extras

    raise SystemExit(_run(run_devapi(os.environ, port, say=print, v1_sunset=v1_sunset)))


@app.command()
def playground(
    config: Config = CONFIG,
    *,
    port: Annotated[int, typer.Option(help="The port to listen on, 0 for a free one.")] = 8090,
) -> None:
    """Serve a page to talk with the tutors of a running host, in development."""
    with _extras():
        from loqua_host.dev.playground.command import run_playground  # noqa: PLC0415  # as above

    raise SystemExit(_run(run_playground(config, os.environ, port, print)))


def _run(showing: Coroutine[Any, Any, int | None]) -> int | None:
    """Run to the end and return the exit code. A `LoquaError` is one line, and 1."""
    try:
        return _run_until_signal(showing)
    except* LoquaError as failed:
        for error in _single(failed):
            typer.echo(error, err=True)
    return 1


def _run_until_signal(showing: Coroutine[Any, Any, int | None]) -> int | None:
    """Run to the end. SIGTERM and Ctrl-C close everything and return 130."""

    async def stoppable() -> int | None:
        task = asyncio.ensure_future(showing)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(stoppable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _single(group: BaseExceptionGroup[LoquaError]) -> Iterator[LoquaError]:
    """Yield the errors of a group. Nested task groups nest exception groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error


@contextmanager
def _extras() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SystemExit(f"this command needs {error.name}: install loqua-host[dev]") from None

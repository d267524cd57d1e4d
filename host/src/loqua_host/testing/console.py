"""A lesson in the terminal, in which the user is the learner."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from loqua_host.contract.lesson import current_lesson
from loqua_host.link.messages import Checkpoint, FromJob, HookTimed

from .player import LessonFailedError, LessonPlayer
from .result import LogEntry, find_failures, result_of
from .steps import KillJob, Says, read_step
from .tutor_source import TutorSource

__all__ = ["HELP", "Console"]

HELP: Final = """\
Type what the learner says. A line that begins with a slash is a command:
  /types hola            a chat message instead of speech
  /leaves, /returns      the learner leaves the room, or enters it again
  /kill_job              the tutor's process dies, and another resumes the lesson
  /api 503 for 20 s      the Loqua API fails
  /reload                the lesson goes on with the tutor's saved code, as it does by itself
  /state, or Enter alone settings, lesson.state, mode and last progress
  /quit                  the learner leaves for good; the report and the record follow"""

GREETING_SECONDS: Final = 0.5
"""Seconds that the tutor has to greet in a started session, before the first line is read."""

RELOAD: Final = "/reload"

RELOAD_SECONDS: Final = 0.5
"""Seconds between two checks for saved files."""

SHOW_SECONDS: Final = 0.05
"""Seconds between two checks for new output."""


class Console:
    """Teach a lesson line by line.

    Args:
        player: The lesson.
        log: The log events, to which the host adds.
        source: The tutor's files. When one is saved, the lesson goes on with the new code.
        read: Returns the next line, without its end; None at the end of the input.
        show: Shows a line.
    """

    def __init__(
        self,
        player: LessonPlayer,
        log: Sequence[LogEntry],
        source: TutorSource,
        read: Callable[[], Any],
        show: Callable[[str], None],
    ) -> None:
        self._player, self._host = player, player.host
        self._log, self._source = log, source
        self._read, self._show = read, show
        self._said = self._sent = self._failed = 0

    async def run(self) -> None:
        """Teach from the learner's entry until they quit or the tutor ends the lesson."""
        async with self._host.running():
            async with self._showing():
                await self._player.begin()
                await self._host.begun()
                await self._greeted()
                while (line := await self._next_line()) is not None:
                    await self._handle(line)
                await self._player.end()
            self._show_end()

    async def _greeted(self) -> None:
        """Wait until the tutor has greeted, which a line would interrupt; or the lesson is over."""
        while (job := self._host.job) and job.session.agent_state == "initializing":  # noqa: ASYNC110  # or it ends
            await asyncio.sleep(SHOW_SECONDS)
        await asyncio.sleep(GREETING_SECONDS)

    async def _next_line(self) -> str | None:
        """Return the next line; None once the learner quits or the lesson is over."""
        reading = asyncio.ensure_future(self._read())
        over = asyncio.ensure_future(self._host.taught())
        saved = asyncio.ensure_future(self._saved())
        await asyncio.wait({reading, over, saved}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (over, saved):
            waiting.cancel()
        if reading.done():
            line: str | None = reading.result()
            return None if line is None or line.strip() == "/quit" else line.strip()
        reading.cancel()
        return RELOAD if saved.done() and not over.done() else None

    async def _saved(self) -> None:
        """Wait until one of the tutor's files is saved."""
        while not self._source.has_changed():  # noqa: ASYNC110  # a file system sends no event
            await asyncio.sleep(RELOAD_SECONDS)

    async def _reload(self) -> None:
        """Resume the lesson in another job, with the new code, unless it cannot be imported."""
        try:
            loaded = self._source.load()
        except Exception as error:  # noqa: BLE001  # it is the author's code
            self._show(f"! not reloaded: {type(error).__name__}: {error}")
            return
        self._show("· reloaded")
        self._host.replace_tutor(loaded)
        await self._player.take(KillJob())

    async def _handle(self, line: str) -> None:
        """Do what a line says."""
        if line in {"", "/state"}:
            self._show_state()
        elif line == RELOAD:
            await self._reload()
        elif line in {"/help", "/"}:
            self._show(HELP)
        else:
            try:
                await self._player.take(self._step(line))
            except (LessonFailedError, ValueError) as error:
                self._show(f"! {error}")

    def _step(self, line: str) -> Any:
        if not line.startswith("/"):
            return Says(line)
        name, _, value = line[1:].partition(" ")
        return read_step({name: value} if value else name)

    @asynccontextmanager
    async def _showing(self) -> AsyncIterator[None]:
        """Show what happens, for the duration of a block."""
        showing = asyncio.create_task(self._show_forever())
        try:
            yield
        finally:
            showing.cancel()
            self._show_updates()

    async def _show_forever(self) -> None:
        while True:
            await asyncio.sleep(SHOW_SECONDS)
            self._show_updates()

    def _show_updates(self) -> None:
        """Show what has happened since the last look."""
        said, sent = self._host.said[self._said :], self._host.sent[self._sent :]
        failures = list(find_failures(self._log))
        self._said, self._sent = self._said + len(said), self._sent + len(sent)
        for one in said:
            if one.speaker == "tutor":
                self._show(f"tutor: {one.text}")
        for line in (*_updates(sent), *(f"! {it}" for it in failures[self._failed :])):
            self._show(line)
        self._failed = len(failures)

    def _show_state(self) -> None:
        try:
            lesson = current_lesson()
        except RuntimeError:
            self._show("there is no lesson")
            return
        result = result_of(self._host, ())
        state = {
            "settings": lesson.settings.model_dump(mode="json"),
            "state": lesson.state,
            "mode": lesson.mode,
            "progress": result.progress and result.progress.model_dump(mode="json"),
        }
        self._show(json.dumps(state, ensure_ascii=False, indent=2))

    def _show_end(self) -> None:
        result = result_of(self._host, ())
        self._show(f"the lesson has ended: {result.reason or 'without a reason'}")
        for name, made in (("report", result.report), ("record", result.record)):
            self._show(f"{name}: {made.model_dump_json(indent=2) if made else 'none'}")


def _updates(sent: list[FromJob]) -> Iterator[str]:
    for message in sent:
        match message:
            case HookTimed(hook=hook, seconds=seconds, failed=failed):
                yield f"· {hook}: {'failed' if failed else f'{1000 * seconds:.0f} ms'}"
            case Checkpoint(progress=progress) if progress is not None:
                yield f"· progress: {progress.model_dump_json(exclude_defaults=True)}"

"""Announcements for waiting learners, in their language and the tutor's voice."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.popen_forkserver import Popen
from typing import Any, Protocol, TypeVar

import structlog

from loqua_host.errors import AnnouncementError
from loqua_host.lessons.decisions import NotifyWaiting
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.engines import Engines
from loqua_host.settings.messages import Message, message_in

from .child import start_child
from .messages import MAX_LINE_BYTES, Announcement, Began, Sound, Wanted
from .player import play_for_host
from .tone import after_tone

__all__ = ["AnnouncementVoice", "Announcer", "Player", "Sounds"]

log = structlog.get_logger()

T = TypeVar("T")

LOOK_UP_SECONDS = 0.5
"""Seconds that an announcement waits for the learner's language, and then for the voice. Without
them, it uses the tutor's own language, or the tone alone."""

ANSWER_SECONDS = 40.0
"""Seconds after which a player that has not reported an announcement counts as hung: longer than
its own time limits for this room and those before it."""

IDLE_SECONDS = 60.0
"""Seconds that an idle player is kept."""

AGAIN_SECONDS = 60.0
"""Seconds before a failed voice is tried again."""


class Player:
    """Play announcements in a process that is started on demand.

    Args:
        tasks: Owns the task that reads from the process.
        start: Starts the process and returns the host's end of its socket.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        start: Callable[[], tuple[socket.socket, Popen]] = lambda: start_child(play_for_host),
    ) -> None:
        self._tasks = tasks
        self._start = start
        self._starting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._child: Popen | None = None
        self._waiting: dict[int, asyncio.Future[str | None]] = {}
        self._idle: asyncio.TimerHandle | None = None

    async def play(self, announcement: Announcement) -> None:
        """Play an announcement; return when somebody hears it.

        Raises:
            AnnouncementError: If it cannot be played.
        """
        async with self._starting:
            writer = self._writer or await self._open()
        answer = asyncio.get_running_loop().create_future()
        self._waiting[announcement.id] = answer
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(announcement.model_dump_json().encode() + b"\n")
                await writer.drain()
                failure = await answer
        except (TimeoutError, OSError):
            self._end()
            raise AnnouncementError("the process that plays announcements hangs") from None
        finally:
            self._waiting.pop(announcement.id, None)
            self._end_when_idle()
        if failure is not None:
            raise AnnouncementError(failure)

    async def _open(self) -> asyncio.StreamWriter:
        try:
            ours, self._child = await asyncio.to_thread(self._start)
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        except (OSError, EOFError) as error:
            raise AnnouncementError(f"no process can be started: {error}") from None
        self._writer = writer
        self._tasks.create_task(self._follow(reader, writer))
        return writer

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the process's answers, until it ends."""
        try:
            while line := await reader.readline():
                began = Began.model_validate_json(line)
                answer = self._waiting.get(began.id)
                if answer is not None and not answer.done():
                    answer.set_result(began.failure)
        except OSError:
            pass  # the announcer was killed
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
                for answer in self._waiting.values():
                    if not answer.done():
                        answer.set_result("the process that plays announcements has ended")

    def _end_when_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        """Close the socket, so that the process finishes and ends."""
        if self._writer is not None and not self._waiting:
            self._writer.close()
            self._writer = None

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()


class Sounds:
    """A cache of synthesised messages.

    Args:
        make: Synthesises a message.
        tasks: Owns the synthesis.
    """

    def __init__(
        self, make: Callable[[Wanted], Awaitable[Sound]], tasks: asyncio.TaskGroup
    ) -> None:
        self._make = make
        self._tasks = tasks
        self._made: dict[str, asyncio.Task[Sound | None]] = {}

    async def get(self, wanted: Wanted) -> Sound | None:
        """Return the audio of a message, or None if synthesis fails."""
        key = wanted.model_dump_json(exclude={"secrets"})
        if key not in self._made:
            self._made[key] = self._tasks.create_task(self._try(key, wanted))
        return await asyncio.shield(self._made[key])

    async def _try(self, key: str, wanted: Wanted) -> Sound | None:
        try:
            return await self._make(wanted)
        except AnnouncementError as error:
            log.warning("announcement.without_voice", language=wanted.language, why=str(error))
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._made.pop, key, None)
            return None


@dataclass(frozen=True, slots=True)
class AnnouncementVoice:
    """A tutor's voice and message for waiting learners.

    Attributes:
        language: The tutor's language.
        engines: The speech synthesis engines.
        secrets: The engines' secrets.
        message: The message, if there is one.
    """

    language: str
    engines: Engines
    secrets: Mapping[str, str] = field(repr=False)
    message: Message | None

    def wanted(self, language: str) -> Wanted | None:
        """Return what to synthesise for a language, or None."""
        if self.message is None or not self.engines.tts:
            return None
        spoken = language if language in self.message else "en"
        return Wanted(
            engines=self.engines,
            language=spoken,
            text=self.message[spoken],
            secrets=dict(self.secrets),
        )


class Voices(Protocol):
    """The lookup of tutors' voices and learners' languages."""

    def voice_of(self, tutor: str) -> AnnouncementVoice | None:
        """Return a tutor's voice, or None if the tutor no longer runs here."""

    async def language_for(self, room: str, tutor: str, identity: str) -> str:
        """Return the language of the learner with an identity."""


class Announcer:
    """Announce to waiting learners, each independently, that a tutor will join.

    Args:
        rooms: Provides LiveKit's address and tokens.
        voices: The lookup of voices and languages.
        sounds: The cache of synthesised messages.
        player: Plays announcements.
        tasks: Owns the tasks.
    """

    def __init__(
        self,
        *,
        rooms: Rooms,
        voices: Voices,
        sounds: Sounds,
        player: Player,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._rooms = rooms
        self._voices = voices
        self._sounds = sounds
        self._player = player
        self._tasks = tasks
        self._numbers = count()

    def prepare(self, voice: AnnouncementVoice) -> None:
        """Start to synthesise the message in the tutor's own language in advance."""
        if wanted := voice.wanted(voice.language):
            self._tasks.create_task(self._sounds.get(wanted))

    def say(self, notice: NotifyWaiting) -> None:
        """Start an announcement to a learner."""
        self._tasks.create_task(self._say(notice))

    async def _say(self, notice: NotifyWaiting) -> None:
        began = asyncio.get_running_loop().time()
        text, sound = await self._words(notice)
        announcement = Announcement(
            id=next(self._numbers),
            url=self._rooms.url,
            token=self._rooms.announcing_token(notice.room),
            text=text,
            sound=after_tone(sound),
        )
        room_log = log.bind(room=notice.room, tutor=notice.tutor, user_id=notice.learner.user_id)
        try:
            await self._player.play(announcement)
        except AnnouncementError as error:
            room_log.warning("learner.not_notified_aloud", why=str(error))
        else:
            seconds = round(asyncio.get_running_loop().time() - began, 2)
            room_log.info("learner.notified_aloud", spoken=sound is not None, seconds=seconds)

    async def _words(self, notice: NotifyWaiting) -> tuple[str, Sound | None]:
        """Return text and audio of an announcement, if they are available in time."""
        voice = self._voices.voice_of(notice.tutor)
        if voice is None or voice.message is None:
            return "", None
        finding = self._voices.language_for(notice.room, notice.tutor, notice.learner.identity)
        language = await self._in_time(finding) or voice.language
        wanted = voice.wanted(language)
        sound = await self._in_time(self._sounds.get(wanted)) if wanted else None
        return message_in(language, voice.message), sound

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of work, or None if it takes too long; the work then continues."""
        task = self._tasks.create_task(work)
        await asyncio.wait({task}, timeout=LOOK_UP_SECONDS)
        return task.result() if task.done() else None

"""The process that plays all announcements, and its failures."""

import asyncio
import socket
from typing import Any

import pytest

from loqua_host.announcements import announcer
from loqua_host.announcements.announcer import Player
from loqua_host.announcements.messages import Announcement, Began, Sound
from loqua_host.errors import AnnouncementError
from loqua_host.system.tasks import supervised

SPOKEN = Sound(rate=16_000, samples=b"\1\0" * 160)


class Child:
    """The player's process, from the host's side."""

    def __init__(self) -> None:
        self.started = 0
        self.killed = False
        self.socket = socket.socket()

    def start(self) -> tuple[socket.socket, Any]:
        """Start it."""
        self.started += 1
        self.socket.close()
        ours, self.socket = socket.socketpair()
        self.socket.setblocking(False)
        return ours, self

    async def read(self) -> bytes:
        """Return what the host says next, nothing at the end."""
        while self.socket.fileno() == -1 or not self.started:  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            return await asyncio.get_running_loop().sock_recv(self.socket, 1 << 20)

    def kill(self) -> None:
        """End it."""
        self.killed = True
        self.end()

    def end(self) -> None:
        """End the connection."""
        self.socket.close()

    def answer(self, number: int, failure: str | None = None) -> None:
        """Answer with the result of an announcement."""
        self.socket.sendall(Began(id=number, failure=failure).model_dump_json().encode() + b"\n")


def announcement(number: int) -> Announcement:
    """Return an announcement."""
    return Announcement(id=number, url="ws://livekit", token="t", text="", sound=SPOKEN)


async def failure_of(playing: "asyncio.Task[None]") -> str | None:
    """Return why an announcement failed, if it did."""
    try:
        await playing
    except AnnouncementError as error:
        return str(error)
    return None


async def test_one_process_plays_all_announcements_and_one_failure_is_no_others() -> None:
    """Answers come in any order."""
    child = Child()
    async with supervised() as tasks:
        player = Player(tasks, child.start)
        playing = [asyncio.create_task(player.play(announcement(number))) for number in range(3)]
        sent = b""
        while sent.count(b"\n") < len(playing):
            sent += await child.read()
        child.answer(2)
        child.answer(0, "ConnectError")
        child.answer(1)
        failures = [await failure_of(one) for one in playing]
    assert (failures, child.started) == (["ConnectError", None, None], 1)


async def test_a_process_that_ends_fails_what_it_was_told_and_the_next_has_another() -> None:
    """LiveKit's native library may abort its process."""
    child = Child()
    async with supervised() as tasks:
        player = Player(tasks, child.start)
        playing = asyncio.create_task(player.play(announcement(1)))
        await child.read()
        child.end()
        assert "has ended" in str(await failure_of(playing))
        again = asyncio.create_task(player.play(announcement(2)))
        await child.read()
        child.answer(2)
        assert (await failure_of(again), child.started) == (None, 2)


async def test_a_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much later than any room may take."""
    monkeypatch.setattr(announcer, "ANSWER_SECONDS", 0.2)
    child = Child()
    async with supervised() as tasks:
        player = Player(tasks, child.start)
        playing = asyncio.create_task(player.play(announcement(1)))
        assert "hangs" in str(await failure_of(playing))
        assert child.killed


async def test_a_process_without_work_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when its host hangs up."""
    monkeypatch.setattr(announcer, "IDLE_SECONDS", 0.1)
    child = Child()
    async with supervised() as tasks:
        player = Player(tasks, child.start)
        playing = asyncio.create_task(player.play(announcement(1)))
        await child.read()
        child.answer(1)
        await playing
        assert await child.read() == b""


async def test_a_process_that_cannot_be_started_is_an_error_of_the_announcement() -> None:
    """The next tries again."""

    def start() -> Any:
        raise OSError("no more processes")

    async with supervised() as tasks:
        player = Player(tasks, start)
        for number in range(2):
            failed = await failure_of(asyncio.create_task(player.play(announcement(number))))
            assert failed == "no process can be started: no more processes"

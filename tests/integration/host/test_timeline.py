"""`loqua-host timeline` beside a real host: its output, and who may read it."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents.voice import RemoteSession
from tests.integration.host.conftest import KEPT, PATIENCE, Deployment, explicit, new_room

from loqua_host.dev.child import dying_with_parent
from loqua_host.livekit_internals import TIMELINE_WATCHER

pytestmark = pytest.mark.asyncio(loop_scope="session")

TUTOR = "watched"

DEALER = {
    "agent": "loqua_probe.dealer:Dealer",
    "worker_type": "explicit",
    "agent_name": TUTOR,
    "max_concurrent_jobs": 2,
    "engines": {"tts": {"use": "loqua_probe.voice:ToneTTS"}},
}


@asynccontextmanager
async def watching(
    deployment: Deployment, config: Path, room: str
) -> AsyncIterator[asyncio.StreamReader]:
    """Run the command for the length of a block, and yield what it prints."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    paths = {"PYTHONPATH": str(deployment.plugins)}
    command = (sys.executable, "-m", "loqua_host", "timeline", room, "--config", str(config))
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent(*command), stdout=PIPE, env=kept | paths | deployment.environ()
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).startswith(b"watching ")
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def test_a_session_is_shown_to_its_watcher_and_obeys_nobody(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The learner neither sees the watcher nor can ask the session for anything."""
    room = new_room()
    async with (
        asyncio.timeout(3 * PATIENCE),
        deployment.host(tmp_path, explicit(TUTOR), lessons={"timeline": True}) as host,
    ):
        await deployment.open_room(room, TUTOR)
        async with (
            watching(deployment, tmp_path / "config", room) as printed,
            deployment.visit(room) as learner,
        ):
            await host.log.until("lesson.opened", user_id=learner.user_id)
            line = (await printed.readline()).decode()
            assert "tutor is " in line
            present = learner.room.remote_participants
            assert TIMELINE_WATCHER not in present
            [agent] = present
            remote = RemoteSession.from_room(learner.room, agent)
            await remote.start()
            with pytest.raises((TimeoutError, RuntimeError)):
                await remote.wait_for_ready(timeout=1.5)
            await remote.aclose()
    await deployment.close_room(room)
    assert not host.log.find("learner.unknown")


def is_listening(tutor: rtc.RemoteParticipant) -> bool:
    """Return whether a tutor hears what is typed."""
    return tutor.attributes.get("lk.agent.state") == "listening"


async def read_until(beginning: str, printed: asyncio.StreamReader) -> list[str]:
    """Return what was printed, without moments and names, up to a line that begins so."""
    lines = [""]
    try:
        async with asyncio.timeout(PATIENCE):
            while not lines[-1].startswith(beginning):
                lines.append((await printed.readline()).decode().partition(": ")[2].rstrip())
    except TimeoutError:
        raise AssertionError(f"no {beginning!r} in {lines}") from None
    return lines


async def test_turns_their_latencies_and_tool_calls_are_printed(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The lesson's agent has a language model; lines appear as turns end."""
    room = new_room()
    async with (
        asyncio.timeout(3 * PATIENCE),
        deployment.host(tmp_path, {"dealer": DEALER}, lessons={"timeline": True}) as host,
    ):
        await deployment.open_room(room, TUTOR)
        async with (
            watching(deployment, tmp_path / "config", room) as printed,
            deployment.visit(room) as learner,
        ):
            await host.log.until("lesson.opened", user_id=learner.user_id)
            await learner.until(lambda tutors: any(map(is_listening, tutors)))
            await learner.room.local_participant.send_text("How many cards?", topic="lk.chat")
            lines = await read_until("took: ", printed)
        await deployment.close_room(room)
    assert "learner said: How many cards?" in lines
    assert 'tool count_cards({"deck": "verbs"}): 12 cards in verbs' in lines
    assert "tutor said: There are 12 cards in verbs." in lines
    assert re.fullmatch(r"took: .*thinking \d\.\d\d s, speaking \d\.\d\d s.*", lines[-1])

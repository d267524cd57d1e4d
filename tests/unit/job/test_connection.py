"""The tutor's own connection to the room: reconnected, ended or lost."""

import asyncio
from typing import Any

import pytest
import structlog
from livekit import rtc

from loqua_host.job.room.connection import ENDINGS, RECONNECT_SECONDS
from loqua_host.job.voice.last_words import PENDING_SECONDS
from loqua_host.link.messages import Finish, Join

REASONS = rtc.DisconnectReason.items()


async def test_a_connection_that_livekit_mends_costs_the_lesson_nothing_but_time(job: Any) -> None:
    """The clock stands still meanwhile, and the host looks at the learner again."""
    running = job.start()
    await asyncio.sleep(10)
    job.room.emit("reconnecting")
    await asyncio.sleep(RECONNECT_SECONDS - 1)
    job.room.emit("reconnected")
    await asyncio.sleep(10)
    assert [one for one in job.link.sent if isinstance(one, Join)] == [Join(identity="maria")]
    job.lesson.end("done")
    await running
    assert (job.finish.ending.reason, job.finish.ending.seconds) == ("done", 20)


async def test_a_learner_who_left_meanwhile_is_noticed(job: Any) -> None:
    """There was no event."""
    job.limit(reconnect_timeout=5.0)
    running = job.start()
    await asyncio.sleep(10)
    job.room.emit("reconnecting")
    del job.room.remote_participants["maria"]
    job.room.emit("reconnected")
    await running
    assert (job.finish.ending.reason, job.finish.ending.seconds) == ("learner_left", 10)


async def test_a_connection_that_is_not_mended_in_time_is_a_crash(job: Any) -> None:
    """The host hears no farewell, and the tutor is not asked for a report that nobody will get."""
    running = job.start()
    await asyncio.sleep(10)
    job.room.emit("reconnecting")
    job.room.emit("reconnecting")
    await running
    assert asyncio.get_running_loop().time() == 10 + RECONNECT_SECONDS + PENDING_SECONDS
    assert not [one for one in job.link.sent if isinstance(one, Finish)]
    assert job.hooks.endings == []


@pytest.mark.parametrize(("name", "reason"), REASONS, ids=[name for name, _ in REASONS])
async def test_whoever_ends_the_connection_ends_the_lesson_and_nothing_else_does(
    job: Any, name: str, reason: int
) -> None:
    """A room that was closed is no crash; a server that went down, or a doubled identity, is."""
    running = job.start()
    await asyncio.sleep(10)
    with structlog.testing.capture_logs() as logs:
        job.room.emit("disconnected", reason)
        await running
    lost = "lesson.connection_lost" in [line["event"] for line in logs]
    assert lost is (reason not in ENDINGS), name
    finished = [one for one in job.link.sent if isinstance(one, Finish)]
    assert [one.ending.reason for one in finished] == ([] if lost else ["room_closed"])

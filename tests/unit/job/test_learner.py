"""The choice of a job's learner among the participants."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from loqua_host.errors import LearnerError
from loqua_host.job.room.learner import wait_for_learner
from loqua_host.testing.fake_room import FakeRoom


def context(room: FakeRoom) -> Any:
    """Return a job's context in a room, which waits as LiveKit's does."""

    async def wait_for_participant(kind: list[int]) -> Any:
        while not (here := [p for p in room.remote_participants.values() if p.kind in kind]):
            entered = asyncio.get_running_loop().create_future()
            room.once("participant_connected", entered.set_result)
            await entered
        return here[0]

    return SimpleNamespace(room=room, wait_for_participant=wait_for_participant)


async def test_an_observer_who_came_first_is_not_waited_behind() -> None:
    """The learner is found, before or after the job begins to wait."""
    for early in (True, False):
        room = FakeRoom()
        room.enter("observer", observes=True)
        if early:
            room.enter("maria")
        waiting = asyncio.create_task(wait_for_learner(context(room), 30))
        await asyncio.sleep(1)
        if not early:
            room.enter("second", observes=True)
            room.enter("maria")
        assert (await waiting).identity == "maria"
        assert not room._events.get("participant_connected")


async def test_an_observer_alone_is_nobody() -> None:
    """The wait ends as in an empty room."""
    room = FakeRoom()
    room.enter("observer", observes=True)
    with pytest.raises(LearnerError, match="within 30 s"):
        await wait_for_learner(context(room), 30)

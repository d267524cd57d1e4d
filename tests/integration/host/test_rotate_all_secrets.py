"""Rotation of each kind of secret under running lessons of a real host."""

from pathlib import Path

import pytest
from tests.integration.host.rotating_host import livekit_with_a_spare_key, rotating

pytestmark = pytest.mark.asyncio(loop_scope="session")

LESSONS = 2
TOKEN_SECONDS = 6


async def test_a_rotation_of_each_kind_of_secret_fails_nothing(
    third_party: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Later learners are taught as well, and every lesson has one record."""
    async with (
        livekit_with_a_spare_key(unused_tcp_port) as livekit,
        rotating(livekit, third_party, tmp_path, LESSONS, TOKEN_SECONDS) as world,
    ):
        await world.shared_secret()
        await world.agent_jwt()
        await world.livekit_key()
        await world.tutors_secret()
        await world.ops_token()
        await world.ledger_key()
        await world.enter()
        figures = await world.leave()
    assert figures["failures"] == {}
    assert figures["records"] == figures["lessons"] == LESSONS + 2

"""Hostile and faulty tutors on the link of a real host, beside an honest one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from tests.integration.host.conftest import Deployment, HostProcess, SilentLearner, new_room

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def honest(deployment: Deployment, host: HostProcess) -> AsyncIterator[SilentLearner]:
    """Yield a learner with an honest tutor, whose record must come out right at the end."""
    room = new_room()
    host.script(room, report={"topics_covered": ["honesty"]})
    async with deployment.visit(room) as learner:
        await host.log.until("probe.ready", room=room)
        yield learner
    record = await deployment.api.until("sessions", learner.user_id)
    assert record["payload"]["topics_covered"] == ["honesty"]
    made = {"event": "progress.made", "user_id": learner.user_id}
    words = [line["words"] for line in host.log.every if made.items() <= line.items()]
    assert words == [*range(1, len(words) + 1)]


@asynccontextmanager
async def attacked(
    deployment: Deployment, host: HostProcess, honest: SilentLearner, attack: str
) -> AsyncIterator[SilentLearner]:
    """Yield the learner of a tutor that attacks.

    The honest lesson goes on meanwhile, and the attacker's own has its record.
    """
    room = new_room()
    host.script(room, attack=attack)
    async with deployment.visit(room) as learner:
        await host.log.until("probe.attacks", room=room)
        yield learner
        ticks = len(host.log.find("progress.made", user_id=honest.user_id))
        await host.log.until("progress.made", user_id=honest.user_id, count=ticks + 2)
    await deployment.api.until("sessions", learner.user_id)


async def test_a_second_connection_and_a_stolen_token_are_refused(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """A job has one connection, and its token is good in its own process alone."""
    async with attacked(deployment, host, honest, "second") as greedy:
        await host.log.until("probe.attacked", room=greedy.name, answers="409")
        await host.log.until("link.refused", why="this job is already connected")
        async with attacked(deployment, host, honest, "stolen") as thief:
            await host.log.until("probe.attacked", room=thief.name, answers="403")
            why = "no running job has this token and this process"
            await host.log.until("link.refused", why=why)


async def test_a_flood_is_slowed_down_and_harms_nobody_else(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """Hundreds of messages at once: the host reads them at its own pace, and says so."""
    async with attacked(deployment, host, honest, "flood") as flooder:
        await host.log.until("probe.attacked", room=flooder.name, answers="100")
        await host.log.until("link.flooding")


async def test_an_oversized_message_ends_its_own_lesson_alone(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """The connection is closed, and its tutor comes back to behave."""
    async with attacked(deployment, host, honest, "oversized") as sender:
        await host.log.until("lesson.interrupted", user_id=sender.user_id)
        await host.log.until("lesson.resumed", user_id=sender.user_id)
    assert [it for it in host.log.find("link.refused") if "exceeds limit" in it["why"]]


@pytest.mark.parametrize(
    ("attack", "fields"),
    [
        ("malformed", ["message: Invalid JSON", "checkpoint.seconds", "Input tag 'welcome'"]),
        ("nan", ["checkpoint.progress.pronunciation_score", "checkpoint.progress.words_learned"]),
    ],
)
async def test_what_is_no_message_is_refused_by_the_name_of_its_field(
    deployment: Deployment, host: HostProcess, honest: SilentLearner, attack: str, fields: list[str]
) -> None:
    """The lesson goes on with its last good progress."""
    async with attacked(deployment, host, honest, attack) as sender:
        await host.log.until("progress.made", user_id=sender.user_id, count=2)
        whys = [it["why"] for it in host.log.find("link.message_refused")]
        assert [field for field in fields if not any(field in why for why in whys)] == []
    assert not host.log.find("lesson.interrupted", user_id=sender.user_id)


async def test_a_lesson_is_joined_once(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """No job becomes another learner's by saying so."""
    async with attacked(deployment, host, honest, "rejoin") as sender:
        await host.log.until("learner.unknown", user_id=sender.user_id)
    for kind in ("contexts", "sessions"):
        assert len(await deployment.api.arrivals(kind, sender.user_id)) == 1


async def test_progress_that_falls_is_refused_and_the_last_good_one_kept(
    deployment: Deployment, host: HostProcess
) -> None:
    """The refusal names the field; what comes after counts from the last good one."""
    room = new_room()
    falling = [{"words_learned": words} for words in (5, 3, 6, 2)]
    host.script(room, progress=falling)
    async with deployment.visit(room) as learner:
        await host.log.until("progress.refused", user_id=learner.user_id, count=2)
    await deployment.api.until("sessions", learner.user_id)
    whys = [it["why"] for it in host.log.find("progress.refused", user_id=learner.user_id)]
    assert whys == [
        "progress.words_learned: fell from 5 to 3",
        "progress.words_learned: fell from 6 to 2",
    ]
    sent = await deployment.api.arrivals("progress", learner.user_id)
    assert sent[-1]["payload"]["data"]["progress"]["words_learned"] == 6

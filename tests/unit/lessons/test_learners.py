"""The learner of a lesson, and other participants in the room."""

import asyncio

import pytest
import structlog
from tests.unit.lessons.host_under_test import JOB, HostUnderTest, finish, join, learner, receive

from loqua_host.link.messages import Join, Others, Recorded, Refused, Returned, Welcome, WrapUp
from loqua_host.link.server import JobRef


async def test_a_job_that_another_host_called_is_for_the_learner_whose_lesson_is_not_over(
    host: HostUnderTest,
) -> None:
    """The order of arrival does not matter; if all lessons are over, it is for another learner."""
    host.rooms.inside["room"] = [
        learner("maria", sid="PA_1", joined_at=1),
        learner("ana", sid="PA_2", joined_at=2),
    ]
    taught = []
    for number in range(3):
        async with host.job(JobRef(f"job{number}", "room", "conversation")) as link:
            taught.append((await join(link, "maria")).learner.user_id)
            await link.send(finish())
            assert await receive(link) == Recorded()
    assert taught == ["maria", "ana", "maria"]


@pytest.mark.parametrize("identity", ["maria", "ana"])
async def test_a_room_has_no_second_tutor_of_a_kind(host: HostUnderTest, identity: str) -> None:
    """Two dispatches may both be served; the second job leaves without a word."""
    host.rooms.inside["room"].append(learner("ana"))
    async with host.job() as first:
        await join(first)
        async with host.job(JobRef("job2", "room", "conversation")) as second:
            refused = await join(second, identity)
        assert isinstance(refused, Refused)
        assert (refused.cause, refused.language) == ("already_taught", None)
        await first.send(finish())
        assert await receive(first) == Recorded()


async def test_of_two_tutors_that_join_together_one_teaches(host: HostUnderTest) -> None:
    """Neither waits for the ledger's entry of the other."""
    async with host.job() as one, host.job(JobRef("job2", "room", "conversation")) as other:
        answers = await asyncio.gather(join(one), join(other))
    assert {type(answer) for answer in answers} == {Welcome, Refused}


async def test_a_learner_who_returns_is_known_by_another_identity_too(host: HostUnderTest) -> None:
    """The host looks for itself; the lesson belongs to the new entry from then on."""
    async with host.job() as link:
        await join(link)
        host.rooms.inside["room"] = [
            learner("ana", sid="PA_ana"),
            learner("maria", "m2", sid="PA_2"),
        ]
        await link.send(Join(identity="ana"))
        await link.send(Join(identity="nobody"))
        await link.send(Join(identity="m2"))
        assert isinstance(await receive(link), Others)
        returned = await receive(link)
        assert isinstance(returned, Returned)
        assert returned.learner.identity == "m2"
        await link.send(finish())
        assert await receive(link) == Recorded()
    assert await host.services.ledger.closed_entries(["room"]) == {
        "room": {("PA_2", "conversation")}
    }


async def test_a_learner_who_returns_does_not_wait_for_the_ledger(
    host: HostUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does what the job says afterwards."""
    out_of_reach = asyncio.Event()
    monkeypatch.setattr(host.services.ledger, "save_entry", lambda *_: out_of_reach.wait())
    async with host.job() as link:
        await join(link)
        host.rooms.inside["room"] = [learner("maria", "m2", sid="PA_2")]
        await link.send(Join(identity="m2"))
        assert isinstance(await receive(link), Returned)
        await link.send(finish())
        assert await receive(link) == Recorded()


async def test_a_tutor_is_told_of_others_and_of_them_only(host: HostUnderTest) -> None:
    """Not of agents, nor of those nobody knows, nor of the learner's other devices; once."""
    me, ana = learner(sid="PA_1"), learner("ana", "a1", sid="PA_ana")
    strangers = [
        learner("maria", "tab", sid="PA_tab"),
        learner("agent", kind="agent"),
        learner("egress", kind="egress"),
        learner("", "nobody", attributes={}),
        learner("eve", writes_own_attributes=True),
    ]
    host.rooms.inside["room"] = [me]
    async with host.job() as link:
        await join(link)
        host.lessons.see("room", [me, *strangers])
        host.lessons.see("elsewhere", [me, ana])
        host.lessons.see("room", [me, ana, *strangers])
        host.lessons.see("room", [me, ana])
        message = await receive(link)
        [other] = message.others
        assert (other.user_id, other.identity, other.attributes) == ("ana", "a1", {})
        assert message.entries == ("PA_ana",)
        host.lessons.see("room", [me, learner("ana", "a1", sid="PA_ana_again")])
        assert (await receive(link)).entries == ("PA_ana_again",)
        host.lessons.see("room", [me])
        assert await receive(link) == Others(others=(), entries=())


@pytest.mark.parametrize("told_by", ["host", "job"])
async def test_a_learner_who_becomes_another_loses_the_lesson(
    host: HostUnderTest, told_by: str
) -> None:
    """Host and job both check it, and the log reports it once."""
    host.rooms.inside["room"] = [learner(sid="PA_1")]
    async with host.job() as link:
        await join(link)
        changed = [learner(sid="PA_1", attributes={"user_id": "ana"})]
        host.rooms.inside["room"] = changed
        with structlog.testing.capture_logs() as logs:
            if told_by == "job":
                await link.send(Join(identity="maria"))
            else:
                host.lessons.see("room", changed)
            assert await receive(link) == WrapUp(reason="user_id_changed")
            host.lessons.see("room", changed)
            await link.send(finish())
            assert await receive(link) == Recorded()
    assert [log["event"] for log in logs].count("security.user_id_changed") == 1
    assert ("PA_1", "conversation") in host.dispatch_state.closed_entries("room")


async def test_a_job_that_was_called_for_a_learner_teaches_that_one(host: HostUnderTest) -> None:
    """Other learners may be first in the room."""
    host.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    host.dispatch_state.on_called("room", "conversation", "maria")
    host.lessons.begin(JOB)
    async with host.job() as link:
        assert (await join(link, "ana")).learner.user_id == "maria"


async def test_a_job_whose_learner_has_left_meanwhile_teaches_who_is_there(
    host: HostUnderTest,
) -> None:
    """Although its lesson was prefetched for the one who left."""
    host.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    host.dispatch_state.on_called("room", "conversation", "maria")
    host.lessons.begin(JOB)
    await asyncio.sleep(1)
    host.rooms.inside["room"] = [learner("ana")]
    async with host.job() as link:
        assert (await join(link, "ana")).learner.user_id == "ana"

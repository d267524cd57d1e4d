"""A learner who leaves and returns: muted tutor, stopped clock, messages from the host."""

import asyncio
from typing import Any

from loqua_host.contract.learner import Learner
from loqua_host.contract.records import LessonReport
from loqua_host.link.messages import (
    Checkpoint,
    Finish,
    Join,
    Returned,
    StepOut,
    SteppedOut,
)


def graceful(job: Any) -> Any:
    """Start a lesson that waits half a minute for a learner who left."""
    job.limit(reconnect_timeout=30.0)
    job.session.room_io.set_participant = job.session.done.append
    return job.start()


def back(identity: str) -> Returned:
    """Return the host's word that a participant is the learner."""
    return Returned(learner=Learner(user_id="maria", identity=identity))


def asked(job: Any) -> list[str]:
    """List whom the host was asked about."""
    return [message.identity for message in job.link.sent if isinstance(message, Join)]


async def test_a_learner_who_returns_goes_on_and_the_time_between_does_not_count(job: Any) -> None:
    """The tutor is silent while nobody listens."""
    running = graceful(job)
    await asyncio.sleep(60)
    job.room.leave("maria")
    assert job.session.done[-2:] == ["interrupted by force", "committed"]
    assert not job.session.output.on["audio"]
    await asyncio.sleep(20)
    job.room.enter("maria")
    await asyncio.sleep(1)
    assert asked(job) == ["maria"]
    job.link.incoming.put_nowait(back("maria"))
    await asyncio.sleep(40)
    assert job.session.output.on["audio"]
    job.lesson.end("goal_reached")
    await running
    assert (job.finish.ending.reason, job.finish.ending.seconds) == ("goal_reached", 100)


async def test_a_learner_who_stays_away_ends_the_lesson_after_the_grace(job: Any) -> None:
    """Not before."""
    running = graceful(job)
    await asyncio.sleep(10)
    job.room.leave("maria")
    await asyncio.sleep(29)
    assert not running.done()
    await running
    assert (job.finish.ending.reason, job.finish.ending.seconds) == ("learner_left", 10)


async def test_a_learner_may_return_under_another_identity(job: Any) -> None:
    """If the host agrees, the voice is bound to the new identity."""
    running = graceful(job)
    await asyncio.sleep(10)
    job.room.leave("maria")
    job.room.enter("maria-phone")
    await asyncio.sleep(1)
    job.link.incoming.put_nowait(back("maria-phone"))
    await asyncio.sleep(60)
    assert job.session.done[-1] == "maria-phone"
    assert job.lesson.learner.identity == "maria-phone"
    job.room.leave("maria-phone")
    await running
    assert job.finish.ending.reason == "learner_left"


async def test_somebody_else_does_not_take_the_learners_place(job: Any) -> None:
    """The host does not say that it is the learner; agents are not even asked about."""
    running = graceful(job)
    await asyncio.sleep(1)
    job.room.enter("ana")
    job.room.leave("maria")
    job.room.enter("specialist", kind=4)
    await running
    assert asked(job) == ["ana"]
    assert job.finish.ending.reason == "learner_left"


async def test_a_learner_who_left_again_meanwhile_is_not_back(job: Any) -> None:
    """The host's word comes too late."""
    running = graceful(job)
    await asyncio.sleep(1)
    job.room.leave("maria")
    job.link.incoming.put_nowait(back("maria"))
    await running
    assert job.finish.ending.reason == "learner_left"


def leaves(job: Any) -> list[Any]:
    """List how the job left the lesson."""
    return [one for one in job.link.sent if isinstance(one, Finish | SteppedOut)]


async def test_a_learner_who_left_makes_room_for_one_who_waits(job: Any) -> None:
    """With what a later job needs to go on, and a report for the record if none has to."""
    running = graceful(job)
    await asyncio.sleep(10)
    job.lesson.state["card"] = 7
    job.room.leave("maria")
    await asyncio.sleep(3)
    job.link.incoming.put_nowait(StepOut())
    await running
    [left] = leaves(job)
    assert isinstance(left, SteppedOut)
    assert (left.ending.reason, left.ending.seconds) == ("learner_left", 10)
    assert left.report == LessonReport(topics_covered=("food",))
    checkpoint = job.link.sent[job.link.sent.index(left) - 1]
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.state == {"card": 7}


async def test_nobody_makes_room_who_is_there(job: Any) -> None:
    """The host saw the room a moment before."""
    running = graceful(job)
    await asyncio.sleep(1)
    job.link.incoming.put_nowait(StepOut())
    await asyncio.sleep(1)
    job.room.leave("maria")
    job.room.enter("maria")
    job.link.incoming.put_nowait(StepOut())  # before the host has said who that is
    await asyncio.sleep(1)
    assert not running.done()
    job.link.incoming.put_nowait(back("maria"))
    job.link.incoming.put_nowait(StepOut())
    await asyncio.sleep(40)
    assert not running.done()
    job.lesson.end("goal_reached")
    await running
    assert [one.ending.reason for one in leaves(job)] == ["goal_reached"]


async def test_who_comes_back_as_the_lesson_steps_out_is_for_the_next_job(job: Any) -> None:
    """The lesson is left once, and no word of theirs is heard by a tutor who goes."""
    running = graceful(job)
    await asyncio.sleep(1)
    job.room.leave("maria")
    job.link.incoming.put_nowait(StepOut())
    job.link.incoming.put_nowait(back("maria"))
    await asyncio.sleep(0)
    job.room.enter("maria")
    await running
    assert [type(one) for one in leaves(job)] == [SteppedOut]

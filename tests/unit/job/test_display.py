"""Data for the learner's app, and failures to send it."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from loqua_host import Correction
from loqua_host.contract.display import LessonTopic
from loqua_host.contract.records import Progress

from .conftest import JobUnderTest

CORRECTION = Correction(text="Yo es.", start=3, end=5, corrected="soy")


async def teach(job: JobUnderTest, seconds: float = 40.0) -> None:
    """Teach a lesson in which something is corrected, and end it."""
    running = job.start()
    await asyncio.sleep(1)
    job.lesson.show(CORRECTION)
    await asyncio.sleep(seconds)
    job.lesson.end("goal_reached")
    await running


def topics(job: JobUnderTest) -> list[str]:
    """List the topics under which something was sent."""
    return [topic for topic, _, _ in job.room.local_participant.texts]


async def test_correction_progress_and_outcome_are_sent_in_this_order(job: JobUnderTest) -> None:
    """The tutor shows the first; the host sends the others for every tutor."""
    job.hooks.instead["on_progress_tick"] = lambda *_: Progress(words_learned=2)
    await teach(job)
    assert topics(job) == [LessonTopic.CORRECTION, LessonTopic.PROGRESS, LessonTopic.OUTCOME]
    (outcome,) = (text for topic, text, _ in job.room.local_participant.texts[-1:])
    assert json.loads(outcome)["body"]["report"]["topics_covered"] == ["food"]


async def test_the_learner_of_the_lesson_alone_gets_it(job: JobUnderTest) -> None:
    """Others in the room do not."""
    job.room.enter("tom")
    await teach(job)
    assert {to for _, _, to in job.room.local_participant.texts} == {("maria",)}


async def test_what_is_shown_last_is_sent_before_the_outcome(job: JobUnderTest) -> None:
    """The last turn may be corrected and end the lesson."""
    running = job.start()
    await asyncio.sleep(1)
    job.lesson.end("goal_reached")
    job.lesson.show(CORRECTION)
    await running
    assert topics(job)[-2:] == [LessonTopic.CORRECTION, LessonTopic.OUTCOME]


async def test_nothing_is_sent_while_the_learner_is_away(job: JobUnderTest) -> None:
    """There is nobody to read it."""
    running = job.start()
    await asyncio.sleep(1)
    job.room.leave("maria")
    job.lesson.show(CORRECTION)
    await running
    assert topics(job) == []


async def fails(*_: Any, **__: Any) -> None:
    """Fail as a room without a connection does."""
    raise ConnectionError("engine is closed")


async def hangs(*_: Any, **__: Any) -> None:
    """Block for ever."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("send", [fails, hangs], ids=["fails", "hangs"])
async def test_a_lesson_is_recorded_whatever_becomes_of_sending(
    job: JobUnderTest, send: Any
) -> None:
    """And one line in the log names the error, once."""
    job.room.local_participant.send_text = send  # type: ignore[method-assign]
    with capture_logs() as log:
        await teach(job)
    assert job.finish.ending.reason == "goal_reached"
    assert len([it for it in log if it["event"] == "display.failed"]) == 1


async def test_what_is_no_value_to_show_is_refused_where_it_is_shown(job: JobUnderTest) -> None:
    """An author who is not checked by mypy finds the line."""
    wrong: Any = "Yo soy."
    with pytest.raises(TypeError, match="needs a Correction"):
        job.lesson.show(wrong)

"""The engines that serve a lesson: reported, recorded, and used by later lessons."""

from typing import Any

import pytest
import structlog
from tests.unit.lessons.host_under_test import HostUnderTest, finish, join, made, receive, until

from loqua_host.lessons.engines import first_engines
from loqua_host.lessons.live_lesson import LiveLesson
from loqua_host.lessons.stored_state import add_engine, build_state, engines_used, tutor_state
from loqua_host.link.messages import EngineKind, EngineServes, Late, Recorded
from loqua_host.link.server import JobRef


def serves(index: int, kind: EngineKind = "tts") -> EngineServes:
    """Report that an engine serves."""
    return EngineServes(kind=kind, index=index)


def live(host: HostUnderTest) -> LiveLesson:
    """Return the one lesson that runs."""
    [lesson] = host.lessons._all_live()
    return lesson


async def test_a_switch_is_reported_and_the_record_says_what_served(host: HostUnderTest) -> None:
    """The first engine, from the start, is no news; the record's lines are for people."""
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            await join(link)
            for index in (0, 1, 0):
                await link.send(serves(index))
            await link.send(serves(1, "stt"))
            await until(lambda: live(host).engines == {"tts": 0, "stt": 1})
            await link.send(finish())
            assert await receive(link) == Recorded()
    switched = [
        (one["log_level"], one["kind"], one["index"], one["to"])
        for one in logs
        if one["event"] == "engine.switched"
    ]
    assert switched == [
        ("warning", "tts", 1, "fallback"),
        ("info", "tts", 0, "first"),
        ("warning", "stt", 1, "fallback"),
    ]
    [recorded] = [one for one in logs if one["event"] == "lesson.recorded"]
    assert recorded["reasons"][-2:] == ("engines.stt: [1] served", "engines.tts: [0], [1] served")


async def test_a_lesson_that_crashed_still_knows_what_served_it(
    host: HostUnderTest, wall: Any
) -> None:
    """The next job's engines are added; the tutor sees none of it in its state."""
    async with host.job() as link:
        await join(link)
        await link.send(serves(1))
        wall.seconds += 60
        await link.send(made(45, words_learned=3))
        await until(lambda: live(host).row.progress)
    await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        welcome = await join(link)
        assert (welcome.resumed, welcome.state) == (True, {"scene": 1})
        await link.send(serves(0))
        await until(lambda: live(host).engines == {"tts": 0})
        assert engines_used(live(host).row.state) == ("engines.tts: [0], [1] served",)


def test_a_tutors_own_notes_say_nothing_of_engines() -> None:
    """This holds for anything in the tutor's state."""
    state = build_state(add_engine({}, "llm", 2), {"loqua.engines": "none", "mine": 1}, ())
    assert engines_used(state) == ("engines.llm: [2] served",)
    assert tutor_state(state) == {"mine": 1}
    assert engines_used(build_state({}, {"loqua.engines": "none"}, ())) == ()


@pytest.mark.parametrize(
    ("serving", "first"),
    [
        ([], {}),
        ([{"tts": 1}], {"tts": 1}),
        ([{"tts": 1}, {}], {"tts": 1}),
        ([{"tts": 1, "stt": 0}, {"tts": 0, "stt": 0}], {"tts": 0, "stt": 0}),
        ([{"tts": 1}, {"tts": 0}, {"tts": 2}], {"tts": 1}),
    ],
    ids=["no lesson", "one", "one that has not spoken", "half", "most"],
)
def test_a_lesson_begins_with_what_serves_most_others(
    serving: list[dict[EngineKind, int]], first: dict[EngineKind, int]
) -> None:
    """Of the same tutor, so that their lists are the same."""
    assert first_engines(serving) == first


async def test_a_lesson_that_is_late_is_known_by_how_much(host: HostUnderTest) -> None:
    """Until its job says otherwise, or it is over: what bounds how many more begin."""
    async with host.job() as link:
        await join(link)
        assert host.lessons.late() == [0.0]
        await link.send(Late(seconds=0.7))
        await until(lambda: host.lessons.late() == [0.7])
        await link.send(finish())
        assert await receive(link) == Recorded()
    await until(lambda: host.lessons.late() == [])

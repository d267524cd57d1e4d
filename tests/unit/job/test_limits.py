"""Time limits of a lesson: silence and duration."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.llm import ChatMessage

from loqua_host import events
from loqua_host.contract.handoff import Handover
from loqua_host.contract.learner import LearnerContext, Preferences
from loqua_host.job.lesson.limits import (
    NOTICE_SECONDS,
    OVERTIME_SECONDS,
    RESERVE_SECONDS,
    Deadline,
    LimitStep,
    TimeLimits,
)
from loqua_host.link.messages import WrapUp

HOUR = 3600.0


class SettableSeconds:
    """A number of seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return them."""
        return self.now


def limits_of(
    ask: float = 60,
    end: float = 30,
    longest: float = HOUR,
    preferred: float | None = None,
    deadline: Deadline | None = None,
) -> TimeLimits:
    """Return limits, of a host that has no deadline unless a test gives one."""
    return TimeLimits(ask, end, longest, preferred, deadline or Deadline(SettableSeconds()))


def steps(limits: TimeLimits, *seen: tuple[float, float]) -> list[LimitStep | None]:
    """Return what is due at each of these seconds of silence and of teaching."""
    return [limits.step(silent, taught) for silent, taught in seen]


def test_a_silent_learner_is_asked_once_and_then_the_lesson_ends() -> None:
    """Silence is counted on from the question."""
    seen = [(59.0, 59.0), (60.0, 60.0), (61.0, 61.0), (89.0, 89.0), (90.0, 90.0)]
    assert steps(limits_of(), *seen) == [None, LimitStep.ASK, None, None, LimitStep.SILENT]


def test_a_learner_who_answers_is_asked_again_only_after_as_long_a_silence() -> None:
    """A word is enough."""
    seen = [(60.0, 60.0), (0.0, 80.0), (59.0, 140.0), (60.0, 141.0)]
    assert steps(limits_of(), *seen) == [LimitStep.ASK, None, None, LimitStep.ASK]


@pytest.mark.parametrize(
    ("preferred", "length"), [(None, HOUR), (0.0, HOUR), (600.0, 600.0), (2 * HOUR, HOUR)]
)
def test_a_lesson_is_as_long_as_the_learner_prefers_and_never_longer_than_the_longest(
    preferred: float | None, length: float
) -> None:
    """It gets one event before the end."""
    limits = limits_of(preferred=preferred)
    notice = min(NOTICE_SECONDS, length / 5)
    seen = [
        (0.0, length - notice - 1),
        (0.0, length - notice),
        (0.0, length - 1),
        (1.0, length),
    ]
    assert steps(limits, *seen) == [None, LimitStep.NOTICE, None, LimitStep.OVER]


def test_nobody_is_cut_off_in_mid_sentence_for_a_while() -> None:
    """A learner who continues to speak is cut off in the end."""
    limits = limits_of()
    seen = [(0.0, HOUR - 1), (0.0, HOUR), (0.0, HOUR + OVERTIME_SECONDS)]
    assert steps(limits, *seen) == [LimitStep.NOTICE, None, LimitStep.OVER]


@pytest.mark.parametrize(
    ("drain", "due", "latest"), [(600, 540, 560), (120, 90, 100), (45, 30, 35), (6, 3, 4)]
)
def test_a_lesson_says_goodbye_at_a_pause_before_its_host_has_to_be_gone(
    drain: float, due: float, latest: float
) -> None:
    """Goodbye, hooks and record have the rest of the time; the tutor gets an event before."""
    clock = SettableSeconds()
    deadline = Deadline(clock)
    limits = limits_of(deadline=deadline)
    deadline.set(drain, "host_stopping")
    clock.now = max(0.0, due - NOTICE_SECONDS)
    assert steps(limits, (0.0, 0.0), (5.0, 0.0)) == [LimitStep.NOTICE, None]
    clock.now = due
    assert steps(limits, (0.0, 0.0), (1.0, 0.0)) == [None, LimitStep.OVER]
    assert limits.reason(0.0) == "host_stopping"
    clock.now = latest
    assert limits.step(0.0, 0.0) is LimitStep.OVER


def test_a_lesson_that_is_over_before_its_host_has_to_be_gone_ends_for_its_own_reason() -> None:
    """And of two deadlines the earlier one counts."""
    clock = SettableSeconds()
    deadline = Deadline(clock)
    limits = limits_of(longest=60, deadline=deadline)
    deadline.set(HOUR, "tutor_changed")
    clock.now = 61.0
    assert limits.step(1.0, 61.0) is LimitStep.OVER
    assert limits.reason(61.0) == "time_is_up"
    deadline.set(20, "host_stopping")
    deadline.set(HOUR, "tutor_disabled")
    assert (deadline.reason, deadline.seconds_left) == ("host_stopping", 10)


@given(
    st.integers(1, 3600),
    st.integers(1, 3600),
    st.integers(1, 10_000),
    st.none() | st.integers(0, 10_000),
    st.lists(st.integers(0, 7200), min_size=1),
)
def test_whatever_the_limits_no_lesson_goes_on_past_its_longest(
    ask: int, end: int, longest: int, preferred: int | None, silences: list[int]
) -> None:
    """Nor does anybody who does not answer keep it open."""
    limits = limits_of(ask, end, longest, preferred)
    for silent in silences:
        limits.step(silent, 0.0)
    assert limits.step(0.0, longest + OVERTIME_SECONDS) is LimitStep.OVER


def speaks(job: Any, old: str, new: str) -> None:
    """Start or stop the learner's speech."""
    job.session.emit("user_state_changed", SimpleNamespace(old_state=old, new_state=new))


async def hear_all(job: Any) -> list[events.Event]:
    """Return what the tutor will have heard of."""
    heard: list[events.Event] = []

    async def hear(event: events.Event) -> None:
        heard.append(event)

    job.lesson.on(events.Event, hear)
    return heard


async def test_a_learner_who_says_nothing_is_asked_and_then_left(job: Any) -> None:
    """In the tutor's voice and the lesson's language; the record says why."""
    heard = await hear_all(job)
    still = job.settings.messages.model_copy(
        update={"still_there": {"en": "Are you there?", "es": "¿Sigues ahí?"}}
    )
    job.settings = replace(job.settings, messages=still)
    job.limit(silence_prompt_after=60.0, silence_timeout=30.0)
    await job.start()
    assert job.session.said == ["¿Sigues ahí?"]
    assert (job.finish.ending.reason, job.finish.ending.seconds) == ("learner_silent", 90)
    assert [type(event) for event in heard] == [events.LearnerSilent]


@pytest.mark.parametrize("how", ["voice", "text", "transcript"])
async def test_a_learner_who_says_something_is_not_silent(job: Any, how: str) -> None:
    """However they say it."""
    job.limit(silence_prompt_after=60.0, silence_timeout=30.0)
    running = job.start()
    await asyncio.sleep(50)
    if how == "voice":
        speaks(job, "listening", "speaking")
        speaks(job, "speaking", "listening")
    elif how == "text":
        await job.room.write("maria", "hola")
    else:
        item = ChatMessage(role="user", content=["Hola."])
        job.session.emit("conversation_item_added", SimpleNamespace(item=item))
    await asyncio.sleep(50)
    assert job.session.said == []
    await running
    assert job.finish.ending.seconds == 50 + 90


async def test_silence_is_not_counted_while_the_learner_could_not_speak(job: Any) -> None:
    """The tutor speaks, a specialist is there, the learner is away."""
    job.limit(silence_prompt_after=60.0, silence_timeout=30.0, reconnect_timeout=100.0)
    running = job.start()
    await asyncio.sleep(10)
    job.session.emit("agent_state_changed", SimpleNamespace(new_state="speaking"))
    await asyncio.sleep(70)
    job.session.emit("agent_state_changed", SimpleNamespace(new_state="listening"))
    job.room.enter("agent-2", kind=4, lk_agent_name="grammar-expert")
    await asyncio.sleep(70)
    job.room.leave("agent-2")
    await asyncio.sleep(45)
    assert job.session.said == []
    await asyncio.sleep(10)
    assert job.session.said == ["Are you still there?"]
    job.lesson.end("done")
    await running


async def test_a_tutor_without_a_voice_asks_nobody_and_leaves_all_the_same(job: Any) -> None:
    """It has heard of the silence itself."""
    job.session.mute = True
    job.limit(silence_prompt_after=60.0, silence_timeout=30.0)
    await job.start()
    assert job.finish.ending.reason == "learner_silent"


async def test_a_lesson_ends_politely_when_the_learner_wants_it_to(job: Any) -> None:
    """The tutor hears of it in time, the learner that time is up."""
    heard = await hear_all(job)
    preferences = Preferences(session_length_preference=5)
    job.lesson.context = LearnerContext(preferences=preferences)
    await job.start()
    assert job.finish.ending.reason == "time_is_up"
    assert job.session.said == [job.settings.messages.time_is_up["en"]]
    assert heard == [events.TimeRunningOut(60.0)]


async def test_a_lesson_whose_time_is_up_does_not_end_during_a_specialists(job: Any) -> None:
    """It ends when the tutor has the floor again."""
    job.limit(max_duration=100.0)
    running = job.start()
    await asyncio.sleep(95)
    speaks(job, "listening", "speaking")
    await asyncio.sleep(10)
    job.room.enter("agent-2", kind=4, lk_agent_name="grammar-expert")
    speaks(job, "speaking", "listening")
    await asyncio.sleep(600)
    assert not running.done()
    job.room.leave("agent-2")
    await running
    assert job.finish.ending.reason == "time_is_up"
    assert job.finish.ending.seconds < 120


async def test_a_lesson_goes_on_when_its_worker_leaves_and_says_goodbye_in_time(job: Any) -> None:
    """The tutor hears of it before, the learner at the end."""
    heard = await hear_all(job)
    goodbye = job.settings.messages.model_copy(
        update={"time_is_up": {"en": "Bye!", "es": "¡Hasta pronto!"}}
    )
    job.settings = replace(job.settings, messages=goodbye)
    job.limit(silence_prompt_after=HOUR)
    running = job.start()
    job.link.incoming.put_nowait(WrapUp(reason="host_stopping", seconds=600))
    await asyncio.sleep(400)
    assert heard == []
    await asyncio.sleep(600 - RESERVE_SECONDS - 405)
    assert [type(event) for event in heard] == [events.TimeRunningOut]
    assert job.session.said == []
    await running
    assert job.session.said == ["¡Hasta pronto!"]
    assert job.finish.ending.reason == "host_stopping"
    assert 540 <= job.finish.ending.seconds <= 545


async def test_a_lesson_whose_learner_is_away_ends_before_its_host_is_gone(job: Any) -> None:
    """Without a word, and late, so that they may come back."""
    job.limit(reconnect_timeout=HOUR)
    running = job.start()
    await asyncio.sleep(1)
    job.link.incoming.put_nowait(WrapUp(reason="host_stopping", seconds=120))
    job.room.leave("maria")
    await asyncio.sleep(100)
    assert not running.done()
    await running
    assert job.session.said == []
    assert job.finish.ending.reason == "host_stopping"


async def test_a_specialist_that_was_called_leaves_the_goodbye_to_who_called_it(job: Any) -> None:
    """The learner hears one."""
    job.lesson.handover = Handover(tutor="conversation")
    job.limit(silence_prompt_after=HOUR)
    running = job.start()
    job.link.incoming.put_nowait(WrapUp(reason="host_stopping", seconds=120))
    await running
    assert job.session.said == []
    assert job.finish.ending.reason == "host_stopping"
